"""Where mail about an invoice goes: the address on it, or the one that replaced it when mail came back."""

from billing.models import Invoice, InvoiceDelivery
from billing.snapshot import InvoiceSnapshot


def recorded_address(invoice: Invoice) -> str:
    """Return the payer's address for this invoice; nobody outside can choose it. Needs the invoice's scope."""
    sent = InvoiceDelivery.objects.filter(invoice=invoice, channel="inbox").exclude(status__in=["bounced", "refused"])
    newest = sent.order_by("-attempt").values_list("recipient", flat=True).first()
    return newest or InvoiceSnapshot.from_json(invoice.snapshot).payer.email
