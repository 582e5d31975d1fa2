"""Large credits take two people: one proposes what is taken back and why, another one lets the credit note out.

As with invoices, FOUR_EYES_FROM is the bound, here of everything that would then have been credited on one invoice: a
large credit in small pieces is a large credit.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from billing.crediting import CreditInvalid, CreditPlan, issue_credit_note, needs_second, plan_credit
from billing.invoicing import FourEyes
from billing.models import CreditNote, CreditProposal, Invoice
from billing.states_credit import CREDIT_PROPOSAL
from consortium.kernel import audit
from consortium.kernel.audit import Fact
from consortium.kernel.money import plain
from members.models import User
from members.permissions import Permission, check_staff


@transaction.atomic
def propose_credit(
    invoice: Invoice, *, nets: Mapping[UUID, Decimal], reason: str, by: User, at: datetime
) -> CreditProposal:
    """Put a large credit before a second person; nothing is credited yet. One waits for an invoice at a time.

    Raises Forbidden, CreditInvalid, also for a credit that needs no second person.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    invoice = Invoice.objects.select_for_update(of=("self",)).get(pk=invoice.pk)
    plan = plan_credit(invoice, nets)
    if not reason.strip():
        raise CreditInvalid(_("Say why: the member reads it on the credit note."), field="reason")
    if not needs_second(invoice, plan):
        raise CreditInvalid(_("A credit of this size needs no second person: issue it."), field="total")
    if CreditProposal.objects.filter(invoice=invoice, status="waiting").exists():
        raise CreditInvalid(_("A credit on this invoice waits for a second person already."))
    proposal = CreditProposal.objects.create(
        institution_id=invoice.institution_id,
        invoice=invoice,
        nets={str(line.line.pk): plain(line.net) for line in plan.lines},
        reason=reason.strip()[:300],
        total=plan.total,
        currency=invoice.currency,
        proposed_by=by,
        proposed_at=at,
    )
    after: dict[str, Fact] = {"total": plan.total, "currency": invoice.currency, "invoice": invoice.number}
    audit.record("billing.credit_proposed", proposal, by=by, at=at, institution_id=invoice.institution_id, after=after)
    return proposal


@transaction.atomic
def approve_credit(proposal: CreditProposal, *, by: User, at: datetime) -> CreditNote:
    """Issue the credit note that was proposed, to the cent; issued before, it is returned.

    Raises Forbidden, FourEyes for who proposed it, TransitionRefused for one that was withdrawn, CreditInvalid when the
    invoice no longer bears it or its taxes would come to another total.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    proposal = _locked(proposal)
    if proposal.credit_note is not None:
        return proposal.credit_note
    if by.pk == proposal.proposed_by_id:
        raise FourEyes(_("A credit of this size is approved by another person than the one who proposed it."))
    if proposal.status != "waiting":
        CREDIT_PROPOSAL.move(proposal, "issued")  # refuses, and says what it is
    if plan_of(proposal).total != proposal.total:
        raise CreditInvalid(_("The invoice was credited since: withdraw this and propose it anew."))
    note = issue_credit_note(
        proposal.invoice,
        nets=_nets(proposal),
        reason=proposal.reason,
        by=proposal.proposed_by,
        approved_by=by,
        at=at,
    )
    CREDIT_PROPOSAL.move(proposal, "issued", decided_by=by, decided_at=at, credit_note=note)
    after: dict[str, Fact] = {"number": note.number, "total": note.total}
    audit.record("billing.credit_approved", proposal, by=by, at=at, institution_id=proposal.institution_id, after=after)
    return note


@transaction.atomic
def withdraw_credit(proposal: CreditProposal, *, by: User, at: datetime) -> CreditProposal:
    """Give a proposal up; nothing was credited. Raises Forbidden, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    proposal = _locked(proposal)
    CREDIT_PROPOSAL.move(proposal, "withdrawn", decided_by=by, decided_at=at)
    audit.record("billing.credit_withdrawn", proposal, by=by, at=at, institution_id=proposal.institution_id)
    return proposal


def plan_of(proposal: CreditProposal) -> CreditPlan:
    """Return what the proposal would take back now; nothing is written. Raises CreditInvalid."""
    return plan_credit(proposal.invoice, _nets(proposal))


def _nets(proposal: CreditProposal) -> dict[UUID, Decimal]:
    return {UUID(key): Decimal(net) for key, net in proposal.nets.items()}


def _locked(proposal: CreditProposal) -> CreditProposal:
    """The proposal as it is now, its invoice and its row locked until commit, in this order everywhere."""
    Invoice.objects.select_for_update().get(pk=proposal.invoice_id)
    rows = CreditProposal.objects.select_for_update(of=("self",))
    return rows.select_related("invoice", "proposed_by", "credit_note").get(pk=proposal.pk)
