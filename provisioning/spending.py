"""A request beyond the member's own budget: asked of those who set it, and their answer."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.audit import Fact
from consortium.kernel.errors import Invalid, Missing
from members.models import User
from members.permissions import Permission, check_at
from provisioning.models import Hub, SpendingApproval
from provisioning.requests import TELL_OPERATORS
from provisioning.states import HUB
from provisioning.states_spending import SPENDING

TELL_BUDGET_HOLDERS = "provisioning.mail_spending_asked"


class NothingAsked(Missing):
    """The hub was requested within the budget, so nobody is asked about it."""

    code = "nothing_asked"


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What a month comes to without the hub and what the hub adds, against the budget: before tax, in `currency`."""

    expected: Decimal
    estimate: Decimal
    budget: Decimal
    currency: str


@transaction.atomic
def ask_spending(hub: Hub, spending: Spending, *, by: User, at: datetime) -> SpendingApproval:
    """Will put the question to those who set the budget, who are told by mail. Raises Forbidden."""
    check_at(by, Permission.REQUEST_HUB, hub.institution_id)
    row = SpendingApproval.objects.create(
        institution_id=hub.institution_id,
        hub=hub,
        expected=spending.expected,
        estimate=spending.estimate,
        budget=spending.budget,
        currency=spending.currency,
        asked_at=at,
    )
    after: dict[str, Fact] = {"estimate": spending.estimate, "budget": spending.budget, "currency": spending.currency}
    audit.record(
        "provisioning.spending_asked",
        row,
        by=by,
        at=at,
        institution_id=hub.institution_id,
        after=after,
        deliver_to=(TELL_BUDGET_HOLDERS,),
    )
    return row


def question_of(hub: Hub) -> SpendingApproval:
    """Will return the question about the hub, open or answered. Raises NothingAsked."""
    row = SpendingApproval.objects.select_related("hub").filter(hub=hub).first()
    if row is None:
        raise NothingAsked(_("This hub was requested within the budget; there is nothing to decide."))
    return row


@transaction.atomic
def approve_spending(row: SpendingApproval, *, by: User, at: datetime, tell_operators: bool = True) -> None:
    """Will let the request go on although the month goes beyond its budget; the operators are told that it waits.

    Raises Forbidden, TransitionRefused.
    """
    check_at(by, Permission.SET_BUDGET, row.institution_id)
    SPENDING.move(row, "approved", decided_by=by, decided_at=at)
    _record(row, "provisioning.spending_approved", by=by, at=at)
    if tell_operators:
        audit.record(
            "provisioning.hub_awaits_approval",
            row.hub,
            by=by,
            at=at,
            institution_id=row.institution_id,
            deliver_to=(TELL_OPERATORS,),
        )


@transaction.atomic
def decline_spending(row: SpendingApproval, *, note: str, by: User, at: datetime) -> None:
    """Will end the request, for the reason in `note`, which whoever asked is told.

    Raises Forbidden, Invalid without a reason, TransitionRefused.
    """
    check_at(by, Permission.SET_BUDGET, row.institution_id)
    if not note.strip():
        raise Invalid(_("Say why: whoever asked for the hub reads it."), field="note")
    SPENDING.move(row, "declined", note=note.strip()[:300], decided_by=by, decided_at=at)
    hub = row.hub
    HUB.move(hub, "declined", declined_reason=row.note)
    _record(row, "provisioning.spending_declined", by=by, at=at)
    audit.record(
        "provisioning.hub_declined",
        hub,
        by=by,
        at=at,
        institution_id=row.institution_id,
        before={"status": "requested"},
        after={"status": "declined"},
        reason=row.note,
        deliver_to=("provisioning.mail_hub_declined",),
    )


def _record(row: SpendingApproval, action: str, *, by: User, at: datetime) -> None:
    audit.record(action, row, by=by, at=at, institution_id=row.institution_id, after={"status": row.status})
