"""Staff pages of the app: applications to review, agreements to countersign, the directory, people, issuers."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from consortium.kernel.formats import money_text
from members import admin_applications, admin_diligence, agreements
from members.models import (
    Agreement,
    AgreementTemplate,
    BankDetails,
    Institution,
    Issuer,
    Membership,
    Seat,
    Signature,
    StaffSeat,
    TaxRegistration,
    User,
)
from members.permissions import Permission
from members.schedule import Schedule
from members.staff_admin import Act, ActingAdmin, StaffAdmin

__all__ = ["admin_applications", "admin_diligence"]  # imported for their registrations


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


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(max_length=5_000, widget=forms.Textarea(attrs={"rows": 6}))


class CountersignForm(forms.Form):
    """The consortium's signature."""

    name = forms.CharField(label="Your name", max_length=200)
    title = forms.CharField(label="Your title", max_length=200)


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
    list_filter = ("confirmed", "province", "language")
    readonly_fields = ("confirmed",)
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


from members import admin_sign_on  # noqa: E402, F401 - registers its pages
