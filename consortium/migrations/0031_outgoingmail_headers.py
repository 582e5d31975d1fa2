# 0031_outgoingmail_headers

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("consortium", "0030_document_sha256"),
    ]

    operations = [
        migrations.AddField(
            model_name='outgoingmail',
            name='headers',
            field=models.JSONField(blank=True, default=dict, verbose_name='further headers, until it is sent'),
        ),
    ]
