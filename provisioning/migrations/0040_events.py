# 0040_events

import consortium.kernel.fields
import django.contrib.postgres.constraints
import django.db.models.deletion
import django.db.models.functions.uuid
import provisioning.models.events
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('members', '0032_access_decisions'),
        ("provisioning", "0039_pause_guards"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='EventWindow',
            fields=[
                ('id', models.UUIDField(db_default=django.db.models.functions.uuid.UUID7(), editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('exam', 'exam'), ('workshop', 'workshop'), ('other', 'other')], max_length=10)),
                ('title', models.CharField(max_length=100)),
                ('expected_users', models.PositiveIntegerField()),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('status', models.CharField(choices=[('booked', 'booked'), ('cancelled', 'cancelled'), ('over', 'over')], default='booked', max_length=20)),
                ('price', consortium.kernel.fields.AmountField(default=0)),
                ('currency', consortium.kernel.fields.CurrencyField()),
                ('booked_at', models.DateTimeField()),
                ('cancelled_at', models.DateTimeField(null=True)),
                ('prepared_at', models.DateTimeField(null=True)),
                ('prepared_generation', models.PositiveIntegerField(null=True)),
                ('cull_before', models.JSONField(null=True)),
                ('restored_at', models.DateTimeField(null=True)),
                ('booked_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('hub', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='events', to='provisioning.hub')),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='members.institution')),
            ],
            options={
                'ordering': ['starts_at'],
            },
        ),
        migrations.CreateModel(
            name='EventOverride',
            fields=[
                ('id', models.UUIDField(db_default=django.db.models.functions.uuid.UUID7(), editable=False, primary_key=True, serialize=False)),
                ('reason', models.CharField(max_length=300)),
                ('until', models.DateTimeField()),
                ('at', models.DateTimeField()),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='members.institution')),
                ('event', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='overrides', to='provisioning.eventwindow')),
            ],
            options={
                'ordering': ['at'],
            },
        ),
        migrations.AddConstraint(
            model_name='eventwindow',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='eventwindow_lasts'),
        ),
        migrations.AddConstraint(
            model_name='eventwindow',
            constraint=models.CheckConstraint(condition=models.Q(('price__gte', 0)), name='eventwindow_price'),
        ),
        migrations.AddConstraint(
            model_name='eventwindow',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cancelled_at__isnull', False), ('status', 'cancelled')), models.Q(models.Q(('status', 'cancelled'), _negated=True), ('cancelled_at', None)), _connector='OR'), name='eventwindow_cancelled_at'),
        ),
        migrations.AddConstraint(
            model_name='eventwindow',
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(condition=models.Q(('status', 'cancelled'), _negated=True), expressions=[(models.F('hub'), '='), (provisioning.models.events._Range(models.F('starts_at'), models.F('ends_at')), '&&')], name='eventwindow_one_at_a_time'),
        ),
        migrations.AddConstraint(
            model_name='eventoverride',
            constraint=models.CheckConstraint(condition=models.Q(('until__gt', models.F('at'))), name='eventoverride_lasts'),
        ),
    ]
