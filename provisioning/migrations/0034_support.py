# 0034_support

import django.db.models.deletion
import django.db.models.functions.uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('members', '0031_agreement_guards'),
        ("provisioning", "0033_hold_guards"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ClosedDay',
            fields=[
                ('id', models.UUIDField(db_default=django.db.models.functions.uuid.UUID7(), editable=False, primary_key=True, serialize=False)),
                ('day', models.DateField(unique=True)),
                ('name_en', models.CharField(max_length=100)),
                ('name_fr', models.CharField(max_length=100)),
            ],
            options={
                'ordering': ['day'],
            },
        ),
        migrations.CreateModel(
            name='SupportRequest',
            fields=[
                ('id', models.UUIDField(db_default=django.db.models.functions.uuid.UUID7(), editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField(verbose_name='number within the hub')),
                ('title', models.CharField(max_length=150)),
                ('status', models.CharField(choices=[('open', 'open'), ('answered', 'answered'), ('waiting', 'waiting'), ('resolved', 'resolved'), ('closed', 'closed')], default='open', max_length=20)),
                ('severity', models.CharField(max_length=60)),
                ('severity_en', models.CharField(max_length=100)),
                ('severity_fr', models.CharField(max_length=100)),
                ('response_hours', models.PositiveIntegerField(null=True)),
                ('update_hours', models.PositiveIntegerField(null=True)),
                ('around_the_clock', models.BooleanField(default=False)),
                ('zone', models.CharField(max_length=60)),
                ('opened_at', models.DateTimeField()),
                ('resolved_at', models.DateTimeField(null=True)),
                ('closed_at', models.DateTimeField(null=True)),
                ('hub', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='support_requests', to='provisioning.hub')),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='members.institution')),
                ('opened_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-opened_at'],
            },
        ),
        migrations.CreateModel(
            name='SupportMessage',
            fields=[
                ('id', models.UUIDField(db_default=django.db.models.functions.uuid.UUID7(), editable=False, primary_key=True, serialize=False)),
                ('side', models.CharField(choices=[('member', 'member'), ('consortium', 'consortium'), ('portal', 'portal')], max_length=12)),
                ('internal', models.BooleanField(default=False)),
                ('status', models.CharField(choices=[('open', 'open'), ('answered', 'answered'), ('waiting', 'waiting'), ('resolved', 'resolved'), ('closed', 'closed')], max_length=20)),
                ('text', models.TextField()),
                ('at', models.DateTimeField()),
                ('author', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='members.institution')),
                ('request', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='provisioning.supportrequest')),
            ],
            options={
                'ordering': ['at', 'id'],
            },
        ),
        migrations.CreateModel(
            name='SupportClock',
            fields=[
                ('id', models.UUIDField(db_default=django.db.models.functions.uuid.UUID7(), editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('response', 'first answer'), ('update', 'news')], max_length=10)),
                ('started_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('warned_at', models.DateTimeField(null=True)),
                ('stopped_at', models.DateTimeField(null=True)),
                ('stopped_by', models.CharField(blank=True, choices=[('answer', 'an answer'), ('member', 'the member'), ('severity', 'severity')], max_length=10)),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='members.institution')),
                ('request', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='clocks', to='provisioning.supportrequest')),
            ],
            options={
                'ordering': ['started_at'],
            },
        ),
        migrations.AddConstraint(
            model_name='supportrequest',
            constraint=models.UniqueConstraint(fields=('hub', 'number'), name='supportrequest_number'),
        ),
        migrations.AddConstraint(
            model_name='supportrequest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'resolved'), _negated=True), ('resolved_at__isnull', False), _connector='OR'), name='supportrequest_resolved_at'),
        ),
        migrations.AddConstraint(
            model_name='supportrequest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at__isnull', False), ('status', 'closed')), models.Q(models.Q(('status', 'closed'), _negated=True), ('closed_at', None)), _connector='OR'), name='supportrequest_closed_at'),
        ),
        migrations.AddConstraint(
            model_name='supportmessage',
            constraint=models.CheckConstraint(condition=models.Q(('internal', False), ('side', 'consortium'), _connector='OR'), name='supportmessage_internal'),
        ),
        migrations.AddConstraint(
            model_name='supportmessage',
            constraint=models.CheckConstraint(condition=models.Q(('side', 'portal'), ('author__isnull', False), _connector='OR'), name='supportmessage_author'),
        ),
        migrations.AddIndex(
            model_name='supportclock',
            index=models.Index(condition=models.Q(('stopped_at', None)), fields=['due_at'], name='supportclock_running'),
        ),
        migrations.AddConstraint(
            model_name='supportclock',
            constraint=models.UniqueConstraint(condition=models.Q(('stopped_at', None)), fields=('request',), name='supportclock_one_runs'),
        ),
        migrations.AddConstraint(
            model_name='supportclock',
            constraint=models.CheckConstraint(condition=models.Q(('due_at__gt', models.F('started_at'))), name='supportclock_lasts'),
        ),
        migrations.AddConstraint(
            model_name='supportclock',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('stopped_at', None), ('stopped_by', '')), models.Q(('stopped_at__isnull', False), models.Q(('stopped_by', ''), _negated=True)), _connector='OR'), name='supportclock_stopped_by'),
        ),
    ]
