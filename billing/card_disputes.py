"""Money that a payer's bank takes back: disputes that we answer or accept, and debits that are returned for good.

What is taken is due again at once, and for as long as the bank decides nobody is reminded of it (`disputed_by_card`).
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils.translation import gettext as _

from billing.clearing import PROVIDER, Subject, record_taking
from billing.gateways import GatewayError, PaymentGateway, ProviderDispute, current_gateway
from billing.models import CardDispute, CardDisputeAnswer, Invoice, InvoiceBalance, Payment, TakenBack
from billing.states_processor import CARD_DISPUTE
from consortium.kernel import audit, jobs
from consortium.kernel.audit import Fact, System
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import User
from members.permissions import Permission, check_staff

MAIL: Final = "billing.mail_taken_back"
ANSWERABLE: Final = ("inquiry", "needs_response")
DECIDED: Final = ("won", "lost", "closed")
UNDECIDED: Final = ("needs_response", "under_review")
LONGEST_EVIDENCE: Final = 20_000


class DisputeClosed(PortalError):
    """The dispute is answered or decided already, or the bank returned the debit for good."""

    code = "dispute_closed"


class EvidenceInvalid(Invalid):
    """The evidence is missing or too long."""

    code = "evidence_invalid"


def disputed_by_card(invoice: Invoice) -> Decimal:
    """Return what of the invoice's due is due only because a payer's bank is still deciding about a payment of it.

    In the invoice's currency; nobody is reminded of it. Decided or returned, it is like any other amount due.
    """
    balance = InvoiceBalance.objects.filter(pk=invoice.pk).first()
    if balance is None:
        return Decimal(0)
    return max(min(taken_by_card([invoice.pk]).get(invoice.pk, Decimal(0)), balance.due), Decimal(0))


def taken_by_card(keys: Iterable[UUID]) -> dict[UUID, Decimal]:
    """Return what banks that still decide have taken back, by invoice; paid in another way since, it may be no longer
    due.
    """
    taken = TakenBack.objects.filter(payment__invoice__in=list(keys), movement__dispute__status__in=UNDECIDED)
    return dict(taken.values_list("payment__invoice").annotate(sum=Sum("reopened")))


def unanswered_disputes() -> QuerySet[CardDispute]:
    """Return the disputes and inquiries that wait for our answer, the first due first. Needs a consortium scope."""
    return CardDispute.objects.filter(status__in=ANSWERABLE, answer=None).order_by("evidence_due_at")


def keep_dispute(found: ProviderDispute, payment: Payment, balance: InvoiceBalance, *, at: datetime) -> str:
    """Will move our dispute to where the provider's is, and record what it did to the balance; returns "".

    The caller holds the balance's lock and has seen the payment succeed.
    """
    dispute = _ours(found, payment, at=at)
    was = dispute.status
    if was != found.status and CARD_DISPUTE.allows(was, found.status):
        closed_at = at if found.status in DECIDED else None
        CARD_DISPUTE.move(dispute, found.status, evidence_due_at=found.evidence_due_at, closed_at=closed_at)
        audit.record(
            f"billing.card_dispute_{found.status}",
            dispute,
            by=PROVIDER,
            at=at,
            institution_id=dispute.institution_id,
            before={"status": was},
            after={"status": found.status, "amount": dispute.amount, "currency": dispute.currency},
        )
    for movement in found.movements:
        subject = Subject(
            payment=payment,
            dispute=dispute,
            because="return" if dispute.is_return else "dispute",
            amount=dispute.amount,
            note=found.reason.replace("_", " "),
        )
        split = record_taking(movement, subject, balance, at=at)
        if split is not None and split.reopened > 0:
            audit.record(
                "billing.card_dispute_took_back",
                dispute,
                by=PROVIDER,
                at=at,
                institution_id=dispute.institution_id,
                after={"reopened": split.reopened, "currency": dispute.currency},
                deliver_to=(MAIL,),
            )
    return ""


@transaction.atomic
def answer_dispute(dispute: CardDispute, *, evidence: str, by: User | System, at: datetime) -> CardDisputeAnswer:
    """Answer a dispute with our evidence, which the bank takes once; a worker sends it.

    Raises Forbidden, EvidenceInvalid, DisputeClosed.
    """
    check_staff(by, Permission.REFUND_PAYMENTS)
    words = evidence.strip()
    if not words or len(words) > LONGEST_EVIDENCE:
        raise EvidenceInvalid(
            _("Write what shows that the payment is right, in at most %(longest)s characters.")
            % {"longest": LONGEST_EVIDENCE},
            field="evidence",
        )
    return _answered(dispute, "evidence", words, by=by, at=at)


@transaction.atomic
def accept_dispute(dispute: CardDispute, *, by: User | System, at: datetime) -> CardDisputeAnswer:
    """Accept that the money is lost: the dispute ends, what was taken stays due. Raises Forbidden, DisputeClosed."""
    check_staff(by, Permission.REFUND_PAYMENTS)
    return _answered(dispute, "accept", "", by=by, at=at)


def send_answer(answer: CardDisputeAnswer, *, at: datetime, gateway: PaymentGateway | None = None) -> CardDispute:
    """Will hand an answer to the provider, once, and keep what it says; answered before, the dispute stays.

    Opens its own transactions and scope: call it outside of any. Raises GatewayError.
    """
    gateway = gateway or current_gateway()
    dispute, key = answer.dispute, f"dispute:{answer.pk}"
    with transaction.atomic(durable=True), consortium_scope(Scope.JOB):
        balance = InvoiceBalance.objects.select_for_update().get(pk=dispute.payment.invoice_id)
        found = gateway.fetch_dispute(dispute.provider_id)
        if found.status in ANSWERABLE:
            crash_point("dispute.looked")
            if answer.kind == "accept":
                found = gateway.accept_dispute(dispute.provider_id, key=key)
            else:
                found = gateway.answer_dispute(dispute.provider_id, answer.evidence, key=key)
        crash_point("dispute.asked")
        keep_dispute(found, dispute.payment, balance, at=at)
    crash_point("dispute.kept")
    return dispute


@jobs.job_kind("answer_dispute")
def _answer_dispute_job(run: jobs.Run) -> None:
    with consortium_scope(Scope.JOB):
        answers = CardDisputeAnswer.objects.select_related("dispute__payment")
        answer = answers.get(pk=UUID(run.arguments["answer_id"]))
    try:
        send_answer(answer, at=now())
    except GatewayError as error:
        if error.permanent:
            raise
        raise jobs.RetryLater(error.message, seconds=min(2**run.job.attempts, 300)) from error


def _answered(dispute: CardDispute, kind: str, words: str, *, by: User | System, at: datetime) -> CardDisputeAnswer:
    dispute = CardDispute.objects.select_for_update(of=("self",)).get(pk=dispute.pk)
    if dispute.status not in ANSWERABLE or CardDisputeAnswer.objects.filter(dispute=dispute).exists():
        raise DisputeClosed(_("This dispute is answered or decided already: nothing more can be said to the bank."))
    answer = CardDisputeAnswer.objects.create(
        institution_id=dispute.institution_id,
        dispute=dispute,
        kind=kind,
        evidence=words,
        by=None if isinstance(by, System) else by,
        at=at,
    )
    audit.record(
        f"billing.card_dispute_{'accepted' if kind == 'accept' else 'answered'}",
        dispute,
        by=by,
        at=at,
        institution_id=dispute.institution_id,
    )
    arguments = {"answer_id": str(answer.pk)}
    jobs.enqueue(
        "answer_dispute", key=str(answer.pk), at=at, institution_id=dispute.institution_id, arguments=arguments
    )
    crash_point("dispute.recorded")
    return answer


def _ours(found: ProviderDispute, payment: Payment, *, at: datetime) -> CardDispute:
    dispute, made = CardDispute.objects.get_or_create(
        provider_id=found.id,
        defaults={
            "institution_id": payment.institution_id,
            "payment": payment,
            "amount": found.amount,
            "currency": found.currency,
            "reason": found.reason[:60],
            "is_return": found.is_return,
            "opened_at": at,
            "evidence_due_at": found.evidence_due_at,
        },
    )
    if made:
        after: dict[str, Fact] = {"amount": found.amount, "currency": found.currency, "reason": found.reason[:60]}
        audit.record(
            "billing.card_dispute_opened",
            dispute,
            by=PROVIDER,
            at=at,
            institution_id=payment.institution_id,
            after=after,
        )
    return dispute
