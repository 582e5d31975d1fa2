"""What splits of other bases need beside a pool and a frozen use (0061_pool_splits)."""

import consortium.kernel.fields
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("billing", "0060_delivery_guards"),
    ]

    operations = [
        migrations.AddField(
            model_name='periodbasis',
            name='fte',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='periodbasis',
            name='gpu_seconds',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='periodbasis',
            name='storage_gib_seconds',
            field=consortium.kernel.fields.AmountField(default=Decimal('0')),
        ),
        migrations.AddField(
            model_name='periodbasis',
            name='tier',
            field=models.CharField(blank=True, default='', max_length=20, verbose_name='tier of its agreement'),
        ),
        migrations.AddField(
            model_name='pool',
            name='own_amount',
            field=consortium.kernel.fields.AmountField(default=Decimal('0'), verbose_name='what the consortium bears itself, nobody having used it'),
        ),
        migrations.AddField(
            model_name='pool',
            name='own_weight',
            field=consortium.kernel.fields.AmountField(default=Decimal('0'), verbose_name='what nobody used, in units of the basis'),
        ),
    ]
