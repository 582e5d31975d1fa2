# When a hub slept on purpose, or was gone (0038_pauses).

import django.db.models.deletion
import django.db.models.functions.uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('members', '0032_access_decisions'),
        ("provisioning", "0037_spending_guards"),
    ]

    operations = [
        migrations.CreateModel(
            name='HubPause',
            fields=[
                ('id', models.UUIDField(db_default=django.db.models.functions.uuid.UUID7(), editable=False, primary_key=True, serialize=False)),
                ('reason', models.CharField(choices=[('suspended', 'suspended'), ('retired', 'retired')], default='suspended', max_length=20)),
                ('started_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('hub', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='pauses', to='provisioning.hub')),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='members.institution')),
            ],
            options={
                'ordering': ['-started_at'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('hub',), name='hubpause_one_open'), models.CheckConstraint(condition=models.Q(('ended_at', None), ('ended_at__gte', models.F('started_at')), _connector='OR'), name='hubpause_order')],
            },
        ),
    ]
