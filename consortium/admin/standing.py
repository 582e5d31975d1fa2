"""Staff pages of standing: rungs to confirm with what they mean, hubs that were stopped, how every member stands."""

from datetime import date
from typing import ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from billing.models import HubStop, LapseStep
from billing.standing import dismiss_step
from consortium.admin.tools import Table, ToolAdmin
from consortium.kernel.clock import now
from consortium.kernel.errors import Invalid
from consortium.kernel.formats import money_text
from consortium.kernel.spoken import spoken_day
from consortium.usecases.enforce_standing import confirm_rung, standing_of, what_it_means
from members.models import Institution
from members.permissions import Permission
from members.proposal_admin import Choice, ProposalAdmin, Typed, proposal_acts
from members.staff_admin import StaffAdmin


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(label="Why", max_length=300, widget=forms.Textarea(attrs={"rows": 3}))


class ConfirmForm(forms.Form):
    """The words that the university reads."""

    reason = forms.CharField(
        label="What the university reads", max_length=300, widget=forms.Textarea(attrs={"rows": 3})
    )


def check_name(step: LapseStep, typed: str) -> None:
    """Raise Invalid unless the short name of the university was typed out."""
    if typed.strip() != step.institution.slug:
        raise Invalid(f"This is not the short name of this university: {step.institution.slug}.", field="typed")


def preview(step: LapseStep) -> list[tuple[str, object]]:
    """What is overdue, which rungs are in force, and what happens to each hub."""
    standing = standing_of(step.institution, at=now())
    rows: list[tuple[str, object]] = [
        ("University", step.institution),
        ("Stands now", standing.code),
        ("Overdue since", step.overdue_since),
        *[(f"Invoice {number}", amount) for number, amount in step.facts.items()],
    ]
    before = LapseStep.objects.filter(agreement=step.agreement, status="confirmed").order_by("confirmed_at")
    rows += [(f"In force: {each.get_rung_display()}", f"since {each.confirmed_on}") for each in before]
    return rows + [(f"Hub {name}", words) for name, words in what_it_means(step)]


@admin.register(LapseStep)
class LapseStepAdmin(ProposalAdmin, ToolAdmin):
    """The rungs of every ladder."""

    list_display = ["institution", "rung", "status", "overdue_since", "proposed_at", "confirmed_on", "confirmed_by"]
    list_filter = ["status", "rung"]
    search_fields = ["institution__name_en", "institution__slug"]
    shown_with = ("institution", "confirmed_by")
    tools: ClassVar = (("members", "How every member stands", Permission.DECIDE_STANDING),)
    acts = proposal_acts(
        Choice(
            name="confirm",
            label="Confirm",
            explain="It comes into force now, and owners and finance people are told. It is lifted when it is paid.",
            form=ConfirmForm,
            typed=Typed(field="typed", label="Short name of the university", check=check_name),
            run=confirm_rung,
            danger=True,
        ),
        Choice(
            name="dismiss",
            label="Lay aside",
            explain="Nothing happens, and the same step is not proposed again for 30 days.",
            form=ReasonForm,
            run=dismiss_step,
        ),
        permission=Permission.DECIDE_STANDING,
        preview=preview,
        waits="proposed",
    )

    def tool_members(self, request: HttpRequest) -> HttpResponse:
        """Everybody who has an agreement, those who owe first."""
        at = now()
        rows = []
        for institution in Institution.objects.filter(membership__isnull=False).order_by("name_en"):
            standing = standing_of(institution, at=at)
            sums = standing.money.overdue
            overdue = ", ".join(money_text(sum_, code, language="en", code=True) for code, sum_ in sums)
            next_on, since = standing.next_on, standing.money.since
            step = f"{standing.next_rung} from {spoken_day(next_on)}" if next_on else "–"
            shown = (institution, standing.code.replace("_", " "), overdue or "–", spoken_day(since) if since else "–")
            rows.append((since or date.max, (*shown, step)))
        rows.sort(key=lambda row: row[0])
        table = Table(
            caption=f"Standing on {spoken_day(at.date())}",
            headings=("University", "Standing", "Overdue", "Since", "Next step"),
            rows=[shown for _since, shown in rows],
            empty="There are no members yet.",
        )
        return self.tool_page(
            request,
            title="How every member stands",
            explain="What is disputed, on its way or paid in parts is not overdue.",
            button="Look again",
            form=forms.Form(),
            tables=[table],
            method="get",
        )


@admin.register(HubStop)
class HubStopAdmin(StaffAdmin):
    """Hubs that were stopped because of their university's standing."""

    list_display = ["institution", "hub_id", "cause", "stopped_at", "woken_at"]
    list_filter = ["cause", ("woken_at", admin.EmptyFieldListFilter)]
    list_select_related = ["institution"]
