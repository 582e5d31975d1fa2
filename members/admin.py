"""Staff pages of the app: applications to review, agreements to countersign, the directory, people, issuers."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from consortium.kernel.clock import now
from consortium.kernel.formats import money_text
from consortium.kernel.periods import local_date
from members import agreements, onboarding
from members.models import (
    Agreement,
    AgreementTemplate,
    Application,
    ApplicationNote,
    BankDetails,
    Institution,
    Issuer,
    Membership,
    Signature,
    TaxRegistration,
)
from members.permissions import Permission
from members.schedule import Schedule, ScheduleTemplate
from members.staff_admin import Act, ActingAdmin, StaffAdmin


class ReadOnlyInline(admin.TabularInline):  # type: ignore[type-arg] # generic to the type checker alone
    """Rows beneath another one that nobody edits here."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Who sees the page sees them."""
        return True


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


class CountersignForm(forms.Form):
    """The consortium's signature."""

    name = forms.CharField(label="Your name", max_length=200)
    title = forms.CharField(label="Your title", max_length=200)


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


class SignatureInline(ReadOnlyInline):
    """Who signed."""

    model = Signature
    fields = ("side", "name", "title", "language", "at", "content_sha256")


def preview_countersigning(row: Agreement) -> list[tuple[str, object]]:
    """What comes into force."""
    schedule = Schedule.parse(row.schedule)
    signed = Signature.objects.filter(agreement=row, side="member").first()
    return [
        ("Signed by", f"{signed.name}, {signed.title}, {signed.at:%Y-%m-%d %H:%M} UTC" if signed else "nobody"),
        ("Term", f"{row.starts_on} to {row.ends_on or 'open'} ({row.zone})"),
        ("Yearly dues", money_text(schedule.dues, schedule.currency, language="en", code=True)),
        ("Hubs", schedule.entitlements.hubs),
        ("SHA-256 of the content", agreements.content_sha256(row)),
    ]


def act_countersign(row: Agreement, **values: Any) -> object:
    """Countersign by `AgreementAdmin.countersign`, which the project sets to its use case."""
    return AgreementAdmin.countersign(row, **values)


@admin.register(Agreement)
class AgreementAdmin(ActingAdmin):
    """Agreements, and the consortium's signature."""

    list_display = ("institution", "version", "status", "starts_on", "ends_on", "currency", "created_at")
    list_filter = ("status", "issuer", "currency")
    search_fields = ("institution__name_en", "institution__name_fr")
    list_select_related = ("institution",)
    inlines = (SignatureInline,)
    # The project puts its use case here, which also opens the billing account: this app cannot know it.
    countersign: Callable[..., object] = staticmethod(agreements.countersign_agreement)
    acts = (
        Act(
            name="countersign",
            label="Countersign",
            explain="The agreement is in force and the university a member: it may request hubs, and owes its dues.",
            form=CountersignForm,
            run=act_countersign,
            states=("signed",),
            permission=Permission.COUNTERSIGN_AGREEMENT,
            preview=preview_countersigning,
        ),
        Act(
            name="withdraw",
            label="Withdraw",
            explain="The university cannot sign it any more.",
            form=ReasonForm,
            run=agreements.withdraw_agreement,
            states=("draft", "offered", "signed"),
            permission=Permission.REVIEW_APPLICATIONS,
            danger=True,
        ),
    )


@admin.register(AgreementTemplate)
class AgreementTemplateAdmin(StaffAdmin):
    """Clauses and schedules that were published; a new version is a new row."""

    list_display = ("title_en", "issuer", "version", "created_at")


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


from members import admin_people  # noqa: E402, F401 - its pages stand in a module of their own
