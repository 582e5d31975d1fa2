# GPU time and storage beside memory (0044_gpus_and_storage).

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("provisioning", "0043_move_guards"),
    ]

    operations = [
        migrations.AddField(
            model_name='hubday',
            name='gpu_seconds',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='hubday',
            name='storage_gib_seconds',
            field=models.DecimalField(decimal_places=6, default=0, max_digits=24),
        ),
        migrations.AddField(
            model_name='sample',
            name='gpus',
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='samplingrun',
            name='storage_bytes',
            field=models.PositiveBigIntegerField(null=True, verbose_name="bytes of its people's homes, where they were measured"),
        ),
    ]
