"""Staff pages of the app: applications to review, agreements to countersign, the directory, people, issuers."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from members import admin_applications, admin_diligence
from members.admin_agreements import AgreementAdmin, AgreementTemplateAdmin
from members.models import (
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
from members.staff_admin import StaffAdmin


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


# Registered in their own modules.
__all__ = ["AgreementAdmin", "AgreementTemplateAdmin", "admin_applications", "admin_diligence"]
