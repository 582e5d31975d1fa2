"""Mails about money that goes back: a refund on its way, a payment that the payer's bank has taken back."""

from decimal import Decimal
from uuid import UUID

from django.utils import translation

from billing.gateways.stripe_reasons import reason_words
from billing.models import CardDispute, Refund
from billing.pay_links import issue_pay_link, pay_url
from billing.settlement import amount_due
from billing.snapshot import InvoiceSnapshot
from consortium.kernel.formats import money_text
from consortium.kernel.language import first_language
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent


@receiver("billing.mail_refund")
def mail_refund(event: AuditEvent) -> None:
    """Tell the payer's recorded address that money is on its way back, and what is due again because of it."""
    refund = Refund.objects.select_related("payment__invoice__balance").get(pk=UUID(event.object_id))
    invoice = refund.payment.invoice
    snapshot = InvoiceSnapshot.from_json(invoice.snapshot)
    language = first_language(snapshot.language)
    compose(
        event,
        recipient=snapshot.payer.email,
        template="billing_refund",
        language=language,
        context={
            "snapshot": snapshot,
            "amount": money_text(refund.amount, refund.currency, language=language, code=True),
            "by_card": refund.payment.method == "card",
            "reason": refund.reason,
            "due": _due(amount_due(invoice.balance), refund.currency, language),
        },
        at=event.at,
    )


@receiver("billing.mail_taken_back")
def mail_taken_back(event: AuditEvent) -> None:
    """Tell the payer's recorded address that its bank took a payment back: returned, or disputed by its card holder."""
    dispute = CardDispute.objects.select_related("payment__invoice__balance").get(pk=UUID(event.object_id))
    invoice = dispute.payment.invoice
    snapshot = InvoiceSnapshot.from_json(invoice.snapshot)
    language = first_language(snapshot.language)
    with translation.override(language):
        reason = reason_words(dispute.reason)
    compose(
        event,
        recipient=snapshot.payer.email,
        template="billing_debit_returned" if dispute.is_return else "billing_card_disputed",
        language=language,
        context={
            "snapshot": snapshot,
            "amount": money_text(dispute.amount, dispute.currency, language=language, code=True),
            "reason": reason,
            "due": _due(amount_due(invoice.balance), dispute.currency, language),
            "pay_url": pay_url(issue_pay_link(invoice, at=event.at), language),
        },
        at=event.at,
    )


def _due(due: Decimal, currency: str, language: str) -> str:
    return money_text(due, currency, language=language, code=True) if due > 0 else ""
