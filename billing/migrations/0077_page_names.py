"""How two tables are called on the pages of staff."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0076_promise_guards")]

    operations = [
        migrations.AlterModelOptions("fxrate", {"ordering": ["-on"], "verbose_name": "exchange rate"}),
        migrations.AlterModelOptions("writeoff", {"ordering": ["-proposed_at"], "verbose_name": "write-off"}),
    ]
