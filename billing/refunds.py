"""Giving money back on a payment, to the card or account that it came from: proposed, approved, asked for once.

The wish is committed under a key of its own before the provider is asked, and the provider is first asked what it has
done already: so a crash, a lost answer or a forgotten key at any point ends in one refund. What it does to the invoice
and the member's credit is decided when the provider's balance moves (`billing.taking_back`).
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Sum
from django.utils import translation
from django.utils.translation import gettext as _

from billing.clearing import PROVIDER, Subject, record_taking
from billing.gateways import (
    GatewayError,
    PaymentGateway,
    ProviderRefund,
    RefundRequest,
    current_gateway,
)
from billing.models import CardDispute, InvoiceBalance, Payment, Refund
from billing.models.processor import REFUND_FOUR_EYES_FROM
from billing.states_processor import REFUND
from billing.taking_back import Split, split_of
from consortium.kernel import audit, jobs
from consortium.kernel.audit import Fact, System
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.language import first_language
from consortium.kernel.money import EXACT, plain, round_money
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import User
from members.permissions import Permission, check_staff

MAIL: Final = "billing.mail_refund"
GONE: Final = ("failed", "withdrawn")
UNDECIDED: Final = ("opened", "inquiry", "needs_response", "under_review")


class RefundInvalid(Invalid):
    """The amount is none, or more than is left of the payment, or the reason is missing."""

    code = "refund_invalid"


class RefundDisputed(PortalError):
    """The payer's bank is taking the money back already."""

    code = "refund_disputed"


class RefundFourEyes(PortalError):
    """A large refund is approved by another person than the one who proposed it."""

    code = "refund_four_eyes"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPreview:
    """What a refund would do now: where the money is taken from, and whether a colleague must approve it."""

    left: Decimal
    split: Split
    needs_second: bool


def refundable(payment: Payment) -> Decimal:
    """Return what can still be given back on a payment: without what is given back or taken back already."""
    if payment.provider != "stripe" or payment.status != "succeeded":
        return Decimal(0)
    wanted = Refund.objects.filter(payment=payment).exclude(status__in=GONE).aggregate(sum=Sum("amount"))["sum"]
    lost = CardDispute.objects.filter(payment=payment, status="lost").aggregate(sum=Sum("amount"))["sum"]
    left = EXACT.subtract(payment.amount, EXACT.add(wanted or Decimal(0), lost or Decimal(0)))
    return max(left, Decimal(0))


def preview_refund(payment: Payment, amount: Decimal) -> RefundPreview:
    """Return what giving `amount` back would do now; nothing is written. Raises RefundInvalid, RefundDisputed."""
    left = refundable(payment)
    _check(payment, amount, left)
    balance = InvoiceBalance.objects.get(pk=payment.invoice_id)
    return RefundPreview(
        left=left, split=split_of(payment, balance, amount), needs_second=amount >= REFUND_FOUR_EYES_FROM
    )


@transaction.atomic
def propose_refund(payment: Payment, *, amount: Decimal, reason: str, by: User | System, at: datetime) -> Refund:
    """Want `amount` given back on a payment, in its currency, with the reason that the payer will read.

    Below REFUND_FOUR_EYES_FROM it is approved with that, and a worker asks the provider; from there on a colleague
    approves it. Raises Forbidden, RefundInvalid, RefundDisputed.
    """
    check_staff(by, Permission.REFUND_PAYMENTS)
    InvoiceBalance.objects.select_for_update().get(pk=payment.invoice_id)
    payment.refresh_from_db()
    if not reason.strip():
        raise RefundInvalid(_("Say why: the payer reads it."), field="reason")
    _check(payment, amount, refundable(payment))
    refund = _made(payment, amount=amount, reason=reason.strip()[:300], by=by, at=at)
    after = {"amount": amount, "currency": payment.currency, "payment": payment.pk}
    audit.record(
        "billing.refund_proposed",
        refund,
        by=by,
        at=at,
        institution_id=payment.institution_id,
        after=after,
        reason=reason,
    )
    if amount < REFUND_FOUR_EYES_FROM:
        _approve(refund, by=by, at=at)
    return refund


@transaction.atomic
def approve_refund(refund: Refund, *, by: User | System, at: datetime) -> Refund:
    """Let a proposed refund go out: a worker asks the provider for it. From REFUND_FOUR_EYES_FROM on by a person,
    another one than who proposed it. Raises Forbidden, RefundFourEyes, RefundDisputed, TransitionRefused.
    """
    check_staff(by, Permission.REFUND_PAYMENTS)
    InvoiceBalance.objects.select_for_update().get(pk=refund.payment.invoice_id)
    refund.refresh_from_db()
    if refund.amount >= REFUND_FOUR_EYES_FROM and (isinstance(by, System) or refund.proposed_by_id == by.pk):
        raise RefundFourEyes(_("A refund of this size is approved by another person than the one who proposed it."))
    _check_undisputed(refund.payment)
    _approve(refund, by=by, at=at)
    return refund


@transaction.atomic
def withdraw_refund(refund: Refund, *, by: User | System, at: datetime) -> Refund:
    """Give up a refund that nobody has approved. Raises Forbidden, TransitionRefused."""
    check_staff(by, Permission.REFUND_PAYMENTS)
    REFUND.move(refund, "withdrawn")
    audit.record("billing.refund_withdrawn", refund, by=by, at=at, institution_id=refund.institution_id)
    return refund


def send_refund(refund: Refund, *, at: datetime, gateway: PaymentGateway | None = None) -> Refund:
    """Will ask the provider for an approved refund, once, and keep what it says; one that was asked for stays.

    Opens its own transactions and scope: call it outside of any. Raises GatewayError when it should be tried again;
    what the provider refuses for good fails the refund with the reason.
    """
    gateway = gateway or current_gateway()
    with transaction.atomic(durable=True), consortium_scope(Scope.JOB):
        balance = InvoiceBalance.objects.select_for_update().get(pk=refund.payment.invoice_id)
        refund.refresh_from_db()
        if refund.status != "approved":
            return refund
        try:
            found = _asked(refund, gateway)
        except GatewayError as error:
            if not error.permanent:
                raise
            _fail(refund, error.message, at=at)
            return refund
        crash_point("refund.asked")
        keep_refund(found, refund.payment, balance, at=at)
        refund.refresh_from_db()
        crash_point("refund.before_commit")
    crash_point("refund.kept")
    return refund


def keep_refund(found: ProviderRefund, payment: Payment, balance: InvoiceBalance, *, at: datetime) -> str:
    """Will move our refund to where the provider's is, and record what it did to the balance; "" or what is wrong.

    One that was made at the provider and not here is taken over. The caller holds the balance's lock.
    """
    refund = _ours(found, payment, at=at)
    if refund is None:
        return f"Refund {found.id} does not fit payment {payment.pk}: more is given back than came in. Look at it."
    came_back = False
    if refund.status != found.status and REFUND.allows(refund.status, found.status):
        was, came_back = refund.status, found.status == "failed"
        REFUND.move(refund, found.status, provider_id=found.id, failure=found.failure[:300], settled_at=at)
        audit.record(
            f"billing.refund_{found.status}",
            refund,
            by=PROVIDER,
            at=at,
            institution_id=refund.institution_id,
            before={"status": was},
            after={"status": found.status, "amount": refund.amount, "currency": refund.currency},
            deliver_to=(MAIL,) if was == "approved" and found.status != "failed" else (),
        )
    for movement in found.movements:
        subject = Subject(payment=payment, refund=refund, because="refund", amount=refund.amount, note=refund.reason)
        record_taking(movement, subject, balance, at=at)
    if came_back:
        return f"Refund {found.id} of {plain(refund.amount)} {refund.currency} came back: pay it in another way."
    return ""


@jobs.job_kind("send_refund")
def _send_refund_job(run: jobs.Run) -> None:
    with consortium_scope(Scope.JOB):
        refund = Refund.objects.select_related("payment").get(pk=UUID(run.arguments["refund_id"]))
    try:
        send_refund(refund, at=now())
    except GatewayError as error:
        raise jobs.RetryLater(error.message, seconds=min(2**run.job.attempts, 300)) from error


def _asked(refund: Refund, gateway: PaymentGateway) -> ProviderRefund:
    """The provider's refund for ours: the one made before, should its answer have been lost, or a new one.

    Providers forget their keys after a day; what they have written into the refund they do not.
    """
    made = (each for each in gateway.refunds_of(refund.payment.intent_id) if each.refund_id == str(refund.pk))
    if found := next(made, None):
        return found
    crash_point("refund.looked")
    return gateway.create_refund(
        RefundRequest(
            idempotency_key=refund.idempotency_key,
            refund_id=str(refund.pk),
            intent_id=refund.payment.intent_id,
            amount=refund.amount,
            currency=refund.currency,
        )
    )


def _ours(found: ProviderRefund, payment: Payment, *, at: datetime) -> Refund | None:
    """The refund that the provider's belongs to, or one that is taken over now; None where none would fit."""
    refunds = Refund.objects.filter(payment=payment)
    if held := refunds.filter(provider_id=found.id).first():
        return held
    own = {str(each.pk): each for each in refunds.filter(provider_id="")}
    if held := own.get(found.refund_id):
        return held
    if found.currency != payment.currency or found.amount > refundable(payment):
        return None
    with translation.override(first_language(payment.invoice.language)):
        words = _("Refunded at the payment provider")
    refund = _made(payment, amount=found.amount, reason=words, by=PROVIDER, at=at, provider_id=found.id)
    REFUND.move(refund, "approved", approved_at=at)
    after: dict[str, Fact] = {"amount": found.amount, "currency": found.currency}
    audit.record(
        "billing.refund_taken_over", refund, by=PROVIDER, at=at, institution_id=payment.institution_id, after=after
    )
    return refund


def _made(
    payment: Payment, *, amount: Decimal, reason: str, by: User | System, at: datetime, provider_id: str = ""
) -> Refund:
    number = Refund.objects.filter(payment=payment).count() + 1
    return Refund.objects.create(
        institution_id=payment.institution_id,
        payment=payment,
        amount=amount,
        currency=payment.currency,
        reason=reason,
        idempotency_key=f"refund:{payment.pk}:{number}",
        provider_id=provider_id,
        proposed_by=None if isinstance(by, System) else by,
        proposed_at=at,
    )


def _approve(refund: Refund, *, by: User | System, at: datetime) -> None:
    REFUND.move(refund, "approved", approved_by=None if isinstance(by, System) else by, approved_at=at)
    audit.record("billing.refund_approved", refund, by=by, at=at, institution_id=refund.institution_id)
    arguments = {"refund_id": str(refund.pk)}
    jobs.enqueue("send_refund", key=str(refund.pk), at=at, institution_id=refund.institution_id, arguments=arguments)
    crash_point("refund.recorded")


def _fail(refund: Refund, why: str, *, at: datetime) -> None:
    REFUND.move(refund, "failed", failure=why[:300], settled_at=at)
    audit.record(
        "billing.refund_failed",
        refund,
        by=PROVIDER,
        at=at,
        institution_id=refund.institution_id,
        before={"status": "approved"},
        after={"status": "failed"},
    )


def _check(payment: Payment, amount: Decimal, left: Decimal) -> None:
    _check_undisputed(payment)
    if amount <= 0 or round_money(amount, payment.currency) != amount:
        raise RefundInvalid(_("The amount is above zero, to the smallest unit of its currency."), field="amount")
    if amount > left:
        raise RefundInvalid(
            _("At most %(left)s %(currency)s can be given back on this payment.")
            % {"left": plain(left), "currency": payment.currency},
            field="amount",
        )


def _check_undisputed(payment: Payment) -> None:
    if CardDispute.objects.filter(payment=payment, status__in=UNDECIDED).exists():
        raise RefundDisputed(
            _("The payer's bank is taking this payment back already: a refund would pay it twice. Accept the dispute.")
        )
