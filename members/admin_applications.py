"""The reviewers' pages: the queue of applications, what the portal has checked, and the acts that decide."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Case, F, QuerySet, When
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from consortium.kernel.clock import now
from consortium.kernel.formats import money_text
from consortium.kernel.periods import local_date, zone
from members import directory, onboarding
from members.admin_inlines import ReadOnlyInline
from members.answers import ANSWERS, postal_address
from members.application_forms import UnlistedForm
from members.models import AccessRequest, Application, ApplicationNote, User
from members.nominees import account_of, nominees_of
from members.permissions import Permission
from members.review import review_checks
from members.schedule import ScheduleTemplate
from members.staff_admin import Act, ActingAdmin, StaffAdmin

# As they are stored, administrators are JSON; `named` shows them as people.
SHOWN = tuple("named" if name == "administrators" else name for name in ANSWERS)
_MARKS = {"ok": "✓ fine", "look": "▲ look at it", "stop": "■ in the way"}


class QuestionForm(forms.Form):
    """What staff ask the applicant."""

    text = forms.CharField(
        label="Your question, in the applicant's language", max_length=5_000, widget=forms.Textarea(attrs={"rows": 6})
    )


class NoteForm(forms.Form):
    """What staff write among themselves."""

    text = forms.CharField(label="Your note", max_length=5_000, widget=forms.Textarea(attrs={"rows": 6}))


class DeclineForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        label="Reason, which the applicant reads", max_length=5_000, widget=forms.Textarea(attrs={"rows": 6})
    )


class ApproveForm(forms.Form):
    """The first day of the agreement, and whether it is still to be talked about."""

    starts_on = forms.DateField(
        label="First day of the agreement", widget=forms.DateInput(attrs={"type": "date"}), initial=lambda: now().date()
    )
    negotiate = forms.BooleanField(
        label="Leave the agreement as a draft for negotiation, and offer it later", required=False
    )


class ConfirmForm(UnlistedForm):
    """What the directory will say of a university that an applicant named."""

    zone = forms.CharField(label="Time zone", max_length=60)
    slug = forms.SlugField(label="Short name in addresses", max_length=60)
    latitude = forms.DecimalField(label="Latitude, for the map", max_digits=8, decimal_places=5, required=False)
    longitude = forms.DecimalField(label="Longitude, for the map", max_digits=8, decimal_places=5, required=False)

    def clean_zone(self) -> str:
        """Refuse a zone that nobody knows."""
        name: str = self.cleaned_data["zone"]
        try:
            zone(name)
        except ValueError as error:
            raise forms.ValidationError("Write a zone such as America/Vancouver.") from error
        return name


class NoteInline(ReadOnlyInline):
    """The conversation about an application, oldest first; it grows by the acts alone."""

    model = ApplicationNote
    fields = ("at", "kind", "author", "text")
    readonly_fields = fields


def preview_approval(row: Application) -> list[tuple[str, object]]:
    """What the agreement will say, who gets a seat, and what the portal has checked."""
    checks: list[tuple[str, object]] = [
        (f"Check: {check.label}", f"{_MARKS[check.outcome]}: {check.detail}") for check in review_checks(row)
    ]
    try:
        template = onboarding.newest_template(row.currency)
    except onboarding.NoTemplate as error:
        return [("Template", error.message), *checks]
    applicant = row.applicant.email.lower()
    schedule = ScheduleTemplate.parse(template.schedule).for_institution(fte=row.fte or 0, po_required=row.po_required)
    return [
        ("Template", template),
        ("Tier", schedule.tier_name_en),
        ("Yearly dues", money_text(schedule.dues, schedule.currency, language="en", code=True)),
        ("Hubs", schedule.entitlements.hubs),
        ("Owner", row.applicant.email),
        *((f"{each.role.label} to be", _nominee(each)) for each in nominees_of(row) if each.email != applicant),
        ("Today there", local_date(now(), row.institution.zone)),
        *checks,
    ]


def _nominee(nominee: Any) -> str:
    gets = "gets a seat now" if account_of(nominee) else "has no account: is invited"
    return f"{nominee.name}, {nominee.email}: {gets}"


def initial_entry(row: Application) -> dict[str, Any]:
    """What the applicant wrote of the university."""
    names = (
        "name_en",
        "name_fr",
        "city",
        "country",
        "province",
        "domain",
        "ror",
        "zone",
        "slug",
        "latitude",
        "longitude",
    )
    return {name: getattr(row.institution, name) for name in names}


def confirm_entry(row: Application, *, by: User, at: Any, **values: Any) -> None:
    """Confirm the university of an application."""
    directory.confirm_institution(row.institution, values=values, by=by, at=at)


@admin.register(Application)
class ApplicationAdmin(ActingAdmin):
    """The queue of the reviewers."""

    list_display = ("institution", "status", "waits_for", "applicant", "fte", "currency", "submitted_at")
    list_filter = ("status", "currency", "language", "institution__confirmed")
    search_fields = ("institution__name_en", "institution__name_fr", "applicant__email", "legal_name")
    list_select_related = ("institution", "applicant")
    date_hierarchy = "created_at"
    readonly_fields = ("checks", "postal_address", "waits_for", "named")
    fieldsets = (
        (
            "Review",
            {"fields": ("institution", "applicant", "status", "waits_for", "checks", "submitted_at", "decided_at")},
        ),
        ("Answers", {"fields": ("postal_address", *SHOWN)}),
        ("Decision", {"fields": ("decision_reason",)}),
    )
    inlines = (NoteInline,)
    acts = (
        Act(
            name="confirm",
            label="Confirm the institution",
            explain="The applicant wrote this entry. Put it right; then everybody finds it, and it can join.",
            form=ConfirmForm,
            run=confirm_entry,
            states=("submitted", "questioned"),
            permission=Permission.REVIEW_APPLICATIONS,
            initial=initial_entry,
        ),
        Act(
            name="approve",
            label="Approve",
            explain="The applicant becomes the owner of a joining member, and this agreement is offered for signature, "
            "or left as a draft for negotiation. The applicant and the named administrators are told by mail.",
            form=ApproveForm,
            run=onboarding.approve_application,
            states=("submitted",),
            permission=Permission.REVIEW_APPLICATIONS,
            preview=preview_approval,
        ),
        Act(
            name="ask",
            label="Ask a question",
            explain="The applicant gets your question by mail; the application waits for the answer.",
            form=QuestionForm,
            run=onboarding.ask_applicant,
            states=("submitted", "questioned"),
            permission=Permission.REVIEW_APPLICATIONS,
        ),
        Act(
            name="note",
            label="Add a note",
            explain="Only staff read it.",
            form=NoteForm,
            run=onboarding.add_internal_note,
            states=("submitted", "questioned", "approved", "declined"),
            permission=Permission.REVIEW_APPLICATIONS,
        ),
        Act(
            name="decline",
            label="Decline",
            explain="The applicant gets your reason by mail. The university may apply again.",
            form=DeclineForm,
            run=onboarding.decline_application,
            states=("submitted",),
            permission=Permission.REVIEW_APPLICATIONS,
            danger=True,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Application]":
        """What waits for a reviewer comes first, the oldest before the rest; drafts, sent by nobody, come last."""
        turn = Case(When(status="submitted", then=0), When(status="questioned", then=1), default=2)
        return super().get_queryset(request).order_by(turn, F("submitted_at").asc(nulls_last=True))

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """Only an entry that waits for it can be confirmed."""
        acts = super().acts_for(request, row)
        return [act for act in acts if act.name != "confirm" or not row.institution.confirmed]

    @admin.display(description="waits for")
    def waits_for(self, row: Application) -> str:
        """Whose turn it is, and how many days ago it was submitted."""
        if row.status == "draft" or row.submitted_at is None:
            return "applicant"
        turns = {"submitted": "reviewer", "questioned": "applicant"}
        if row.status not in turns:
            return "nobody"
        return f"{turns[row.status]}, {(now() - row.submitted_at).days} days"

    @admin.display(description="what the portal has checked")
    def checks(self, row: Application) -> SafeString:
        """The checks as a table."""
        rows = format_html_join(
            "",
            '<tr><th scope="row">{}</th><td>{}</td><td>{}</td></tr>',
            ((check.label, _MARKS[check.outcome], check.detail) for check in review_checks(row)),
        )
        return format_html("<table><caption>Checks</caption><tbody>{}</tbody></table>", rows)

    @admin.display(description="administrators")
    def named(self, row: Application) -> SafeString:
        """The administrators, one on each line."""
        lines = ((each.name, each.email, each.role.label) for each in nominees_of(row))
        return format_html_join(mark_safe("<br>"), "{}, {} ({})", lines)

    @admin.display(description="address as on an envelope")
    def postal_address(self, row: Application) -> str:
        """The address of the contract."""
        return postal_address(row)


@admin.register(AccessRequest)
class AccessRequestAdmin(StaffAdmin):
    """Who asked which member's owners for a seat."""

    list_display = ("user", "institution", "created_at")
    list_select_related = ("user", "institution")
    search_fields = ("user__email", "institution__name_en")
    date_hierarchy = "created_at"
