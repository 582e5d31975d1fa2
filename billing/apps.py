"""Django's configuration of the app."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Money: costs, invoices, ledger, payments."""

    name = "billing"

    def ready(self) -> None:
        """Register the app's mails and jobs."""
        from billing import (  # noqa: F401, PLC0415 - imported for their registrations
            address_emails,
            arrangement_emails,
            bounce_emails,
            budget_emails,
            catching_up,
            dispute_emails,
            documents,
            emails,
            lapse_emails,
            money_back_mails,
            order_mails,
            pay_links,
            refreshing,
            reminder_emails,
            settlement,
            stale_pages,
        )
        from billing.documents import credit_notes  # noqa: F401, PLC0415 - likewise
