"""Closing pages that ask for too much: money came in another way while a payer had the provider's page open.

Nobody may pay on such a page any more. The sweeper looks for them each second. A payer who was faster has paid; what
is more than due becomes the member's credit.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet

from billing.clearing import PROVIDER
from billing.gateways import GatewayError, PaymentGateway, current_gateway
from billing.models import InvoiceBalance, Payment
from billing.settlement import refresh
from billing.states import PAYMENT
from consortium.kernel import audit, jobs
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.tenancy import Scope, consortium_scope

KIND: Final = "close_stale_page"
WHY: Final = "closed: the invoice was paid in another way"


def stale_payments() -> QuerySet[Payment]:
    """Return the payments whose open page asks for more than is due now. Needs a consortium scope."""
    balance = "invoice__balance__"
    due = F(f"{balance}total") - F(f"{balance}paid") - F(f"{balance}credited")
    pages = Payment.objects.filter(provider="stripe", status="created").exclude(session_id="")
    return pages.annotate(due=due).filter(amount__gt=F("due"))


def want_closed(*, at: datetime) -> int:
    """Want every such page closed, once; returns how many there are. The sweeper asks each second; opens its scope."""
    with consortium_scope(Scope.JOB):
        found = list(stale_payments())
        for payment in found:
            key, arguments = f"{payment.pk}:{payment.due}", {"payment_id": str(payment.pk)}  # type: ignore[attr-defined]
            jobs.enqueue(KIND, key=key, at=at, institution_id=payment.institution_id, arguments=arguments)
    return len(found)


def close_page(payment: Payment, *, at: datetime, gateway: PaymentGateway | None = None) -> Payment:
    """Will close the page of a payment if it asks for too much; one on which somebody has paid is followed instead.

    Opens its own transaction and scope: call it outside of any. Raises GatewayError.
    """
    gateway = gateway or current_gateway()
    with transaction.atomic(durable=True), consortium_scope(Scope.JOB):
        InvoiceBalance.objects.select_for_update().get(pk=payment.invoice_id)
        payment.refresh_from_db()
        if not stale_payments().filter(pk=payment.pk).exists():
            return payment
        session = gateway.expire_checkout(payment.session_id)
        crash_point("payment.page_closed")
        if session.status != "expired":
            refresh(payment, gateway, at=at)
            return payment
        PAYMENT.move(payment, "failed", failure=WHY)
        after = {"status": "failed"}
        audit.record(
            "billing.payment_closed", payment, by=PROVIDER, at=at, institution_id=payment.institution_id, after=after
        )
    return payment


@jobs.job_kind(KIND)
def _close_page_job(run: jobs.Run) -> None:
    with consortium_scope(Scope.JOB):
        payment = Payment.objects.select_related("invoice__issuer").get(pk=UUID(run.arguments["payment_id"]))
    try:
        close_page(payment, at=now())
    except GatewayError as error:
        raise jobs.RetryLater(error.message, seconds=min(2**run.job.attempts, 60)) from error
