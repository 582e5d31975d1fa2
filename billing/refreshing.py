"""Asking the provider again, because a person wants to: what is true of a payment or a payout, and follow it."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing.gateways import GatewayError, PaymentGateway, current_gateway
from billing.models import Payment, Payout
from billing.settlement import follow_payout, refresh
from consortium.kernel import audit, jobs
from consortium.kernel.audit import System
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from members.models import User
from members.permissions import Permission, check_staff


@transaction.atomic
def want_payment(payment: Payment, *, by: User | System, at: datetime) -> Job:
    """Want the provider asked for all that is true of a payment now. Raises Forbidden."""
    check_staff(by, Permission.ISSUE_INVOICES)
    audit.record("billing.payment_asked_again", payment, by=by, at=at, institution_id=payment.institution_id)
    return jobs.enqueue(
        "refresh_payment",
        key=f"{payment.pk}:{at.isoformat()}",
        at=at,
        institution_id=payment.institution_id,
        arguments={"payment_id": str(payment.pk)},
    )


@transaction.atomic
def want_payout(payout: Payout, *, by: User | System, at: datetime, accept_strangers: bool = False) -> Job:
    """Want the provider asked for a payout and its lines again.

    With `accept_strangers` lines that belong to no payment of the portal no longer keep it out of the books: they go to
    "Receipts to be explained", from where an entry moves them. Raises Forbidden.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    if accept_strangers:
        Payout.objects.filter(pk=payout.pk).update(strangers_accepted=True)
    audit.record(
        "billing.payout_asked_again",
        payout,
        by=by,
        at=at,
        institution_id=None,
        after={"strangers_accepted": accept_strangers or payout.strangers_accepted},
    )
    return jobs.enqueue(
        "refresh_payout",
        key=f"{payout.pk}:{at.isoformat()}",
        at=at,
        institution_id=None,
        arguments={"payout_id": payout.provider_id},
    )


def ask_again(
    *, at: datetime, payment: Payment | None = None, payout_id: str = "", gateway: PaymentGateway | None = None
) -> str:
    """Will ask the provider now and follow what it says; returns what a person must look at, or "".

    Opens its own transaction and scope: call it outside of any. Raises GatewayError.
    """
    gateway = gateway or current_gateway()
    with transaction.atomic(durable=True), consortium_scope(Scope.JOB):
        if payment is not None:
            return refresh(payment, gateway, at=at)
        return follow_payout(payout_id, gateway, at)


@jobs.job_kind("refresh_payment")
def _refresh_payment_job(run: jobs.Run) -> dict[str, str]:
    with consortium_scope(Scope.JOB):
        payment = Payment.objects.select_related("invoice__issuer").get(pk=UUID(run.arguments["payment_id"]))
    try:
        return {"problem": ask_again(at=now(), payment=payment)}
    except GatewayError as error:
        raise jobs.RetryLater(error.message, seconds=min(2**run.job.attempts, 300)) from error


@jobs.job_kind("refresh_payout")
def _refresh_payout_job(run: jobs.Run) -> dict[str, str]:
    try:
        return {"problem": ask_again(at=now(), payout_id=run.arguments["payout_id"])}
    except GatewayError as error:
        raise jobs.RetryLater(error.message, seconds=min(2**run.job.attempts, 300)) from error
