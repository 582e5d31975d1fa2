"""A paid invoice at the simulated provider, for stories of money that goes back again."""

from datetime import datetime
from decimal import Decimal

from django.db.models import Sum

from billing.models import Invoice, InvoiceBalance, LedgerLeg, Payment
from billing.payments import start_payment
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.unit.billing.checkout import Till

TOTAL = Decimal("2367.90")
RETURN = "http://127.0.0.1:8000/en/pay/token/return/"


def paid_by_card(till: Till, invoice: Invoice, *, at: datetime) -> Payment:
    """The invoice is paid by card, and the news has been heard."""
    till.card(start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway))
    till.hear_new()
    return payment_of(invoice)


def paid_by_debit(till: Till, invoice: Invoice, *, at: datetime) -> Payment:
    """The invoice is paid by a bank debit that has settled, and the news has been heard."""
    till.debit(start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway))
    till.settle()
    till.hear_new()
    return payment_of(invoice)


def payment_of(invoice: Invoice) -> Payment:
    """The newest payment of an invoice, with what belongs to it."""
    with consortium_scope(Scope.COMMAND):
        return Payment.objects.select_related("invoice__issuer").filter(invoice=invoice).latest("created_at")


def stand(invoice: Invoice) -> tuple[str, Decimal]:
    """The invoice's state and what is paid of it."""
    with consortium_scope(Scope.COMMAND):
        paid = InvoiceBalance.objects.get(pk=invoice.pk).paid
        return Invoice.objects.get(pk=invoice.pk).status, paid


def books() -> dict[str, Decimal]:
    """What is on each account that is not empty, debits above zero, the invoice itself left out."""
    with consortium_scope(Scope.COMMAND):
        legs = LedgerLeg.objects.exclude(entry__kind="invoice").values_list("account__code")
        return {code: amount for code, amount in legs.annotate(sum=Sum("amount")).order_by("account__code") if amount}


def large(payment: Payment) -> Payment:
    """Another payment of the same invoice, large enough for four eyes; the provider has never heard of it."""
    row = Payment.objects.create(
        institution_id=payment.institution_id, invoice_id=payment.invoice_id, provider="stripe", amount=Decimal(9000),
        currency="CAD", idempotency_key="large", intent_id="pi_large", created_at=payment.created_at,
    )  # fmt: skip
    Payment.objects.filter(pk=row.pk).update(status="succeeded", succeeded_at=payment.succeeded_at)
    row.refresh_from_db()
    return row
