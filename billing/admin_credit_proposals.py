"""Staff page of large credits: what waits for a second person, to the cent, and what became of it."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin

from billing.admin_invoicing import shown
from billing.credit_proposals import approve_credit, plan_of, withdraw_credit
from billing.crediting import CreditInvalid
from billing.models import CreditProposal
from consortium.kernel.money import plain
from members.models import User
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin


class TotalForm(forms.Form):
    """The total, typed: who approves it has read it."""

    total = forms.CharField(label="Type what is credited, such as 1234.50", max_length=40)


class NothingAsked(forms.Form):
    """Giving up needs no words."""


def _approve(row: CreditProposal, *, total: str, by: User, at: datetime) -> object:
    if total.strip() != plain(row.total):
        raise CreditInvalid(f"The credit comes to {plain(row.total)} {row.currency}. Type exactly that.", field="total")
    return approve_credit(row, by=by, at=at)


def _withdraw(row: CreditProposal, *, by: User, at: datetime) -> object:
    return withdraw_credit(row, by=by, at=at)


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
class CreditProposalAdmin(ActingAdmin):
    """Large credits; each begins on its invoice's page."""

    list_display = ["proposed_at", "invoice", "institution", "total", "currency", "status", "proposed_by", "decided_by"]
    list_filter = ["status", "currency"]
    search_fields = ["invoice__number", "institution__name_en", "reason"]
    list_select_related = ["invoice", "institution", "proposed_by", "decided_by"]
    date_hierarchy = "proposed_at"
    acts = (
        Act(
            name="approve",
            label="Approve and issue",
            explain="The credit note is numbered, sent and posted at once. Who proposed it cannot approve it.",
            form=TotalForm,
            run=_approve,
            states=("waiting",),
            permission=Permission.ISSUE_INVOICES,
            preview=_preview,
            danger=True,
        ),
        Act(
            name="withdraw",
            label="Withdraw",
            explain="No credit is given. The same can be proposed again.",
            form=NothingAsked,
            run=_withdraw,
            states=("waiting",),
            permission=Permission.ISSUE_INVOICES,
            preview=_preview,
        ),
    )

    def get_queryset(self, request: Any) -> Any:
        """With what a page shows of each."""
        return super().get_queryset(request).select_related("invoice", "institution", "proposed_by")
