# 0047_pairs

import django.db.models.deletion
import django.db.models.functions.uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('members', '0032_access_decisions'),
        ("provisioning", "0046_status_mail"),
    ]

    operations = [
        migrations.AddField(
            model_name='hub',
            name='staging_of',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='staging', to='provisioning.hub', verbose_name='production hub of the twin'),
        ),
        migrations.CreateModel(
            name='Rollout',
            fields=[
                ('id', models.UUIDField(db_default=django.db.models.functions.uuid.UUID7(), editable=False, primary_key=True, serialize=False)),
                ('generation', models.PositiveIntegerField()),
                ('began_at', models.DateTimeField()),
                ('needed', models.PositiveIntegerField(verbose_name='people who must have worked with it')),
                ('people', models.PositiveIntegerField(default=0)),
                ('accepted_at', models.DateTimeField(null=True)),
                ('hub', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rollouts', to='provisioning.hub')),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='members.institution')),
            ],
            options={
                'ordering': ['-generation'],
                'constraints': [models.UniqueConstraint(fields=('hub', 'generation'), name='rollout_once'), models.CheckConstraint(condition=models.Q(models.Q(('accepted_at', None), ('people__lt', models.F('needed'))), models.Q(('accepted_at__gte', models.F('began_at')), ('people__gte', models.F('needed'))), _connector='OR'), name='rollout_accepted_by_enough')],
            },
        ),
    ]
