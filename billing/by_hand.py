"""Payments that a person enters: a cheque or a wire, with the document that proves it."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from billing.balances import TAKES_MONEY, lock
from billing.chart_of_accounts import Account
from billing.models import Invoice, Payment
from billing.receiving import receive
from consortium.kernel import documents
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid
from consortium.kernel.money import round_money
from consortium.kernel.periods import day_period, local_date
from members.models import User
from members.permissions import Permission, check_staff

METHODS: Final = (("cheque", "Cheque"), ("wire", "Wire"), ("bank_transfer", "Bank transfer"))
LARGEST: Final = 10_000_000
KINDS: Final = {b"%PDF-": "application/pdf", b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


class HandPaymentInvalid(Invalid):
    """The amount, the day, the reference or the proof cannot be right."""

    code = "hand_payment_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandPayment:
    """What came in: `amount` in the invoice's currency, `reference` the cheque's number or the wire's."""

    amount: Decimal
    received_on: date
    method: str
    reference: str
    proof: bytes
    proof_name: str


@transaction.atomic
def record_by_hand(invoice: Invoice, told: HandPayment, *, by: User | System, at: datetime) -> Payment:
    """Enter a payment that came by cheque or wire, with its proof; more than is due becomes the member's credit.

    The same method and reference again is refused. Raises Forbidden, HandPaymentInvalid, YearLocked.
    """
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    balance = lock(invoice.pk)
    zone = balance.invoice.issuer.zone
    _check(balance.invoice, told, today=local_date(at, zone))
    key = f"hand:{invoice.issuer_id}:{told.method}:{told.reference.strip().upper()}"[:80]
    # Two clerks may enter one cheque for two invoices at once; the second waits here until the first is done.
    payment, made = Payment.objects.get_or_create(
        idempotency_key=key,
        defaults={
            "institution_id": invoice.institution_id, "invoice": invoice, "provider": "manual", "amount": told.amount,
            "currency": invoice.currency, "method": told.method, "created_at": at,
        },
    )  # fmt: skip
    if not made:
        raise HandPaymentInvalid(_("A payment with this reference is recorded already."), field="reference")
    received_at = day_period(told.received_on, zone).start
    receive(payment, amount=told.amount, arrives=Account.BANK, by=by, at=at, received_at=received_at)
    media = next(kind for mark, kind in KINDS.items() if told.proof.startswith(mark))
    documents.store(
        told.proof, kind="payment_proof", name=told.proof_name[:200], media_type=media, subject=payment,
        institution_id=invoice.institution_id, at=at,
    )  # fmt: skip
    return payment


def _check(invoice: Invoice, told: HandPayment, *, today: date) -> None:
    if invoice.status not in TAKES_MONEY:
        raise HandPaymentInvalid(_("Nothing is due on this invoice."), field="amount")
    if told.amount <= 0 or round_money(told.amount, invoice.currency) != told.amount:
        raise HandPaymentInvalid(_("The amount is above zero, to the smallest unit of its currency."), field="amount")
    if told.received_on > today:
        raise HandPaymentInvalid(_("The day on which it was received has not come yet."), field="received_on")
    if not told.reference.strip():
        raise HandPaymentInvalid(_("Enter the cheque's or the wire's number."), field="reference")
    if len(told.proof) > LARGEST or not any(told.proof.startswith(mark) for mark in KINDS):
        raise HandPaymentInvalid(_("The proof is a PDF, a PNG or a JPEG of at most 10 MB."), field="proof")
