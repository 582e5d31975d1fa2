"""What PostgreSQL refuses of deliveries and of mail that came back."""

from django.db import migrations

from consortium.kernel.sql import FrozenAfter, StateTrigger, TenantPolicy


# This is 0060_delivery_guards.
class Migration(migrations.Migration):
    dependencies = [("billing", "0059_deliveries")]

    operations = [
        TenantPolicy("billing_invoicedelivery"),
        TenantPolicy("billing_mailbounce"),
        StateTrigger(
            "billing.InvoiceDelivery.status",
            "billing_invoicedelivery",
            "status",
            {
                "prepared": ["refused", "replaced", "sent"],
                "sent": ["accepted", "bounced", "rejected", "replaced"],
                "accepted": [],
                "rejected": [],
                "bounced": [],
                "refused": [],
                "replaced": [],
            },
        ),
        FrozenAfter(
            "billing_invoicedelivery", "status", ["prepared"], ["status", "reference", "note", "ended_at"]
        ),
        StateTrigger("billing.MailBounce.status", "billing_mailbounce", "status", {"open": ["handled"], "handled": []}),
        FrozenAfter("billing_mailbounce", "status", ["open"], []),
    ]
