"""Staff pages of the app: applications to review, agreements to countersign, the directory, people, issuers."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from consortium.kernel.clock import now
from consortium.kernel.formats import money_text
from consortium.kernel.periods import local_date
from members import onboarding
from members.admin_agreements import AgreementAdmin, AgreementTemplateAdmin
from members.admin_inlines import ReadOnlyInline
from members.models import (
    Application,
    ApplicationNote,
    BankDetails,
    Institution,
    Issuer,
    Membership,
    Seat,
    StaffSeat,
    TaxRegistration,
    User,
)
from members.permissions import Permission
from members.schedule import ScheduleTemplate
from members.staff_admin import Act, ActingAdmin, StaffAdmin


class TextForm(forms.Form):
    """What staff write to the applicant, or among themselves."""

    text = forms.CharField(max_length=5_000, widget=forms.Textarea(attrs={"rows": 6}))


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(max_length=5_000, widget=forms.Textarea(attrs={"rows": 6}))


class ApproveForm(forms.Form):
    """The first day of the agreement."""

    starts_on = forms.DateField(
        label="First day of the agreement", widget=forms.DateInput(attrs={"type": "date"}), initial=lambda: now().date()
    )


class NoteInline(ReadOnlyInline):
    """The conversation about an application."""

    model = ApplicationNote
    fields = ("at", "kind", "author", "text")


def preview_approval(row: Application) -> list[tuple[str, object]]:
    """What the agreement will say, before it is drafted."""
    try:
        template = onboarding.newest_template(row.currency)
    except onboarding.NoTemplate as error:
        return [("Template", error.message)]
    schedule = ScheduleTemplate.parse(template.schedule).for_institution(fte=row.fte or 0, po_required=row.po_required)
    owners = row.applicant.email
    host, domain = owners.rpartition("@")[2].lower(), row.institution.domain.lower()
    same = bool(domain) and (host == domain or host.endswith(f".{domain}"))
    return [
        ("Template", template),
        ("Tier", schedule.tier_name_en),
        ("Yearly dues", money_text(schedule.dues, schedule.currency, language="en", code=True)),
        ("Hubs", schedule.entitlements.hubs),
        ("Owner", owners),
        ("The owner's address is of the university's domain", "yes" if same else "NO: verify the person first"),
        ("Today there", local_date(now(), row.institution.zone)),
    ]


@admin.register(Application)
class ApplicationAdmin(ActingAdmin):
    """The queue of the reviewers."""

    list_display = ("institution", "status", "applicant", "fte", "currency", "submitted_at")
    list_filter = ("status", "currency", "language")
    search_fields = ("institution__name_en", "institution__name_fr", "applicant__email", "legal_name")
    list_select_related = ("institution", "applicant")
    date_hierarchy = "created_at"
    ordering = ("-submitted_at",)
    inlines = (NoteInline,)
    acts = (
        Act(
            name="approve",
            label="Approve",
            explain="The applicant becomes the owner of a joining member, and this agreement is offered for signature.",
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
            form=TextForm,
            run=onboarding.ask_applicant,
            states=("submitted",),
            permission=Permission.REVIEW_APPLICATIONS,
        ),
        Act(
            name="note",
            label="Add a note",
            explain="Only staff read it.",
            form=TextForm,
            run=onboarding.add_internal_note,
            states=("submitted", "questioned", "approved", "declined"),
            permission=Permission.REVIEW_APPLICATIONS,
        ),
        Act(
            name="decline",
            label="Decline",
            explain="The applicant gets your reason by mail. The university may apply again.",
            form=ReasonForm,
            run=onboarding.decline_application,
            states=("submitted",),
            permission=Permission.REVIEW_APPLICATIONS,
            danger=True,
        ),
    )


@admin.register(Institution)
class InstitutionAdmin(StaffAdmin):
    """The directory."""

    editor = Permission.REVIEW_APPLICATIONS
    list_display = ("name_en", "slug", "city", "province", "zone", "domain")
    list_filter = ("province", "language")
    search_fields = ("name_en", "name_fr", "city", "domain", "slug", "ror")


@admin.register(Membership)
class MembershipAdmin(StaffAdmin):
    """Who is a member."""

    list_display = ("institution", "status", "tier", "fte", "joined_at", "ended_at")
    list_filter = ("status", "tier")
    list_select_related = ("institution",)
    search_fields = ("institution__name_en",)


@admin.register(Seat)
class SeatAdmin(StaffAdmin):
    """Who acts for whom."""

    list_display = ("user", "institution", "role", "source", "created_at", "ended_at")
    list_filter = ("role", ("ended_at", admin.EmptyFieldListFilter))
    list_select_related = ("institution", "user")
    search_fields = ("user__email", "institution__name_en")


@admin.register(StaffSeat)
class StaffSeatAdmin(StaffAdmin):
    """Roles of consortium staff; only a superuser hands them out."""

    list_display = ("user", "role", "ended_at")
    list_filter = ("role",)
    list_select_related = ("user",)
    autocomplete_fields = ("user",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A superuser."""
        return self._is_superuser(request)


@admin.register(User)
class UserAdmin(StaffAdmin):
    """People with an account. A superuser may close an account or make somebody staff."""

    list_display = ("email", "name", "language", "is_staff", "is_active", "date_joined")
    list_filter = ("is_staff", "is_active", "language")
    search_fields = ("email", "name")
    fields = ("email", "name", "language", "is_active", "is_staff", "date_joined", "last_login")
    readonly_fields = ("email", "date_joined", "last_login")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        """People sign up themselves."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """A superuser."""
        return self._is_superuser(request)


class DatedInline(admin.TabularInline):  # type: ignore[type-arg] # generic to the type checker alone
    """Dated facts of an issuer, for who may change the issuer; nothing is deleted."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Who issues invoices."""
        return IssuerAdmin(Issuer, self.admin_site).has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who issues invoices."""
        return self.has_add_permission(request, obj)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Who sees the page sees them."""
        return True


class RegistrationInline(DatedInline):
    """Tax registrations, each with the days on which it holds."""

    model = TaxRegistration


class BankInline(DatedInline):
    """Bank details by currency, each with the days on which they hold."""

    model = BankDetails


@admin.register(Issuer)
class IssuerAdmin(StaffAdmin):
    """The legal entity that contracts and invoices, with its dated facts."""

    editor = Permission.ISSUE_INVOICES
    list_display = ("name_en", "slug", "country", "currency", "zone")
    inlines = (RegistrationInline, BankInline)


__all__ = ["AgreementAdmin", "AgreementTemplateAdmin"]  # registered in their own module
