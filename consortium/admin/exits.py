"""Staff pages of members who leave: the checklist, and the money step that a person takes."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from billing.final_bill import credit_unearned, unearned_dues
from consortium.usecases.exit_member import checklist
from members.models import MemberExit
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin
from members.states_exit import ENDED


class ReasonForm(forms.Form):
    """What the member reads on the credit note."""

    reason = forms.CharField(label="Reason, which the member reads", max_length=300)


def credit(row: MemberExit, *, reason: str, by: Any, at: Any) -> object:
    """Take back the dues for days after the last one."""
    issuer_id, last_day = row.agreement.issuer_id, row.last_day
    return credit_unearned(row.institution_id, issuer_id=issuer_id, last_day=last_day, reason=reason, by=by, at=at)


def preview(row: MemberExit) -> list[tuple[str, object]]:
    """The checklist, and what of which invoice would be credited."""
    unearned = unearned_dues(row.institution_id, issuer_id=row.agreement.issuer_id, last_day=row.last_day)
    steps = [(item.what, "done" if item.done else f"waits: {item.waits or '–'}") for item in checklist(row)]
    return [
        *steps,
        *[
            (f"Credit on {each.line.invoice.number}", f"{each.net} {each.line.currency}: {each.days} of {each.of} days")
            for each in unearned
        ],
    ]


@admin.register(MemberExit)
class MemberExitAdmin(ActingAdmin):
    """Members on their way out."""

    list_display = ["institution", "status", "last_day", "delete_on", "opened_at", "settled_at", "ended_at"]
    list_filter = ["status"]
    search_fields = ["institution__name_en", "institution__slug"]
    list_select_related = ["institution"]
    date_hierarchy = "last_day"
    acts = (
        Act(
            name="credit",
            label="Credit unearned dues",
            explain="What was invoiced for days after the last one is taken back, with its taxes, by credit notes.",
            form=ReasonForm,
            run=credit,
            states=("open", "closing"),
            permission=Permission.ISSUE_INVOICES,
            preview=preview,
        ),
    )

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """Show the checklist above the row."""
        row = self.get_object(request, object_id)
        extra = {**(extra_context or {}), "subtitle": _summary(row) if row is not None else ""}
        return super().change_view(request, object_id, form_url, extra)


def exits_under_way() -> int:
    """How many exits wait for money or people."""
    return MemberExit.objects.filter(status__in=["closing", "settling"]).count()


def _summary(row: MemberExit) -> str:
    items = checklist(row) if row.status not in ENDED else []
    waiting = [item.what for item in items if not item.done]
    return f"{len(items) - len(waiting)} of {len(items)} steps are done. Next: {waiting[0]}" if waiting else ""
