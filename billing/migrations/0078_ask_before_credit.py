"""Whether a payer is asked before the member's credit is used."""

from django.db import migrations, models


# This is 0078_ask_before_credit.
class Migration(migrations.Migration):
    dependencies = [("billing", "0077_page_names")]

    operations = [
        migrations.AddField(
            model_name="billingaccount",
            name="ask_before_credit",
            field=models.BooleanField(
                default=False,
                help_text="Without this, what the member has as credit goes on its invoices as they are issued, oldest first.",
                verbose_name="ask before credit is used",
            ),
        ),
    ]
