# What a hub is reckoned to cost, and who decides beyond the budget (0036_spending).

import consortium.kernel.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('members', '0031_agreement_guards'),
        ("provisioning", "0035_support_guards"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='hub',
            name='declined_reason',
            field=models.TextField(blank=True, default=''),
        ),
        migrations.AddField(
            model_name='hubrevision',
            name='estimate',
            field=models.JSONField(blank=True, default=dict, verbose_name='what a month of it was reckoned to cost, and from what'),
        ),
        migrations.CreateModel(
            name='SpendingApproval',
            fields=[
                ('id', models.UUIDField(db_default=django.db.models.functions.uuid.UUID7(), editable=False, primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('asked', 'asked'), ('approved', 'approved'), ('declined', 'declined')], default='asked', max_length=20)),
                ('expected', consortium.kernel.fields.AmountField(verbose_name='what a month comes to without the hub')),
                ('estimate', consortium.kernel.fields.AmountField(verbose_name='what the hub adds to it')),
                ('budget', consortium.kernel.fields.AmountField()),
                ('currency', consortium.kernel.fields.CurrencyField()),
                ('asked_at', models.DateTimeField()),
                ('note', models.CharField(blank=True, max_length=300)),
                ('decided_at', models.DateTimeField(null=True)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('hub', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='spending', to='provisioning.hub')),
                ('institution', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='members.institution')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('decided_by', None), ('status', 'asked')), models.Q(('decided_at__isnull', False), ('decided_by__isnull', False), ('status__in', ['approved', 'declined'])), _connector='OR'), name='spendingapproval_decided_by'), models.CheckConstraint(condition=models.Q(('budget__lt', django.db.models.expressions.CombinedExpression(models.F('expected'), '+', models.F('estimate')))), name='spendingapproval_over_budget')],
            },
        ),
    ]
