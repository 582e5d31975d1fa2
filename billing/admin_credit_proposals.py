"""Staff page of large credits: what waits for a second person, to the cent, and what became of it."""

from django.contrib import admin

from billing.admin_invoicing import shown
from billing.credit_proposals import approve_credit, plan_of, withdraw_credit
from billing.crediting import CreditInvalid
from billing.models import CreditProposal
from consortium.kernel.money import plain
from members.permissions import Permission
from members.proposal_admin import Choice, ProposalAdmin, Typed, proposal_acts


def _check_total(row: CreditProposal, total: str) -> None:
    if total.strip() != plain(row.total):
        raise CreditInvalid(f"The credit comes to {plain(row.total)} {row.currency}. Type exactly that.", field="total")


def _preview(row: CreditProposal) -> list[tuple[str, object]]:
    """Who wants it and why, and the credit note in figures; what the invoice no longer bears is said."""
    words: list[tuple[str, object]] = [
        ("Invoice", row.invoice.number),
        ("Member", row.institution.name_en),
        ("Proposed by", row.proposed_by),
        ("Reason", row.reason),
    ]
    try:
        return words + [(label, value) for label, value in shown(plan_of(row), row.invoice)]
    except CreditInvalid as error:
        return [*words, ("Not possible any more", error.message)]


@admin.register(CreditProposal)
class CreditProposalAdmin(ProposalAdmin):
    """Large credits; each begins on its invoice's page."""

    list_display = ["proposed_at", "invoice", "institution", "total", "currency", "status", "proposed_by", "decided_by"]
    list_filter = ["status", "currency"]
    search_fields = ["invoice__number", "institution__name_en", "reason"]
    shown_with = ("invoice", "institution", "proposed_by", "decided_by")
    acts = proposal_acts(
        Choice(
            name="approve",
            label="Approve and issue",
            explain="The credit note is numbered, sent and posted at once. Who proposed it cannot approve it.",
            typed=Typed(field="total", label="Type what is credited, such as 1234.50", check=_check_total),
            run=approve_credit,
            danger=True,
        ),
        Choice(
            name="withdraw",
            label="Withdraw",
            explain="No credit is given. The same can be proposed again.",
            run=withdraw_credit,
        ),
        permission=Permission.ISSUE_INVOICES,
        preview=_preview,
    )
