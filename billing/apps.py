"""Django's configuration of the app."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Money: costs, invoices, ledger, payments."""

    name = "billing"

    def ready(self) -> None:
        """Register the app's mails and jobs."""
        from billing import documents, emails, order_mails, pay_links, settlement  # noqa: F401, PLC0415 - registrations
        from billing.documents import credit_notes  # noqa: F401, PLC0415 - registrations
