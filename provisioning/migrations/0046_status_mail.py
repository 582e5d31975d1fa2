# 0046_status_mail

import django.contrib.postgres.fields
import django.db.models.functions.text
import django.db.models.functions.uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("provisioning", "0045_sample_months"),
    ]

    operations = [
        migrations.CreateModel(
            name='StatusSubscription',
            fields=[
                ('id', models.UUIDField(db_default=django.db.models.functions.uuid.UUID7(), editable=False, primary_key=True, serialize=False)),
                ('email', models.EmailField(max_length=254)),
                ('language', models.CharField(blank=True, choices=[('en', 'English'), ('fr', 'Français')], max_length=2)),
                ('hub_slugs', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), blank=True, default=list, verbose_name='hubs')),
                ('wanted_language', models.CharField(choices=[('en', 'English'), ('fr', 'Français')], default='en', max_length=2)),
                ('wanted_slugs', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), blank=True, default=list)),
                ('token_hash', models.CharField(blank=True, max_length=64)),
                ('asked_at', models.DateTimeField()),
                ('confirmed_at', models.DateTimeField(null=True)),
            ],
            options={
                'ordering': ['asked_at'],
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Lower('email'), name='statussubscription_email_once'), models.UniqueConstraint(condition=models.Q(('token_hash', ''), _negated=True), fields=('token_hash',), name='statussubscription_token_once'), models.CheckConstraint(condition=models.Q(models.Q(('confirmed_at', None), ('language', '')), models.Q(('confirmed_at__isnull', False), models.Q(('language', ''), _negated=True)), _connector='OR'), name='statussubscription_confirmed')],
            },
        ),
    ]
