"""Where mail about an invoice goes: the address on it, or the one that replaced it when mail came back."""

from billing.models import BillingAccount, Invoice, InvoiceDelivery, MailBounce
from billing.snapshot import InvoiceSnapshot


def recorded_address(invoice: Invoice) -> str:
    """Return the payer's address for this invoice; nobody outside can choose it. Needs the invoice's scope.

    From an address where mail came back it goes to the billing account's, which is corrected then.
    """
    sent = InvoiceDelivery.objects.filter(invoice=invoice, channel="inbox").exclude(status__in=["bounced", "refused"])
    newest = sent.order_by("-attempt").values_list("recipient", flat=True).first()
    address = newest or InvoiceSnapshot.from_json(invoice.snapshot).payer.email
    if MailBounce.objects.filter(institution_id=invoice.institution_id, recipient__iexact=address).exists():
        return BillingAccount.objects.values_list("email", flat=True).get(pk=invoice.billing_account_id)
    return address
