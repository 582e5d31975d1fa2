"""Staff pages of the app: applications to review, agreements to countersign, the directory, people, issuers."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from members import admin_applications, admin_bank_details, admin_diligence, admin_people, admin_sign_on
from members.admin_agreements import AgreementAdmin, AgreementTemplateAdmin
from members.admin_inlines import ReadOnlyInline
from members.models import (
    BankDetails,
    Institution,
    Issuer,
    Membership,
    TaxRegistration,
)
from members.orphans import has_owner, name_owner
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin, StaffAdmin


@admin.register(Institution)
class InstitutionAdmin(StaffAdmin):
    """The directory."""

    editor = Permission.REVIEW_APPLICATIONS
    list_display = ("name_en", "slug", "city", "province", "zone", "domain")
    list_filter = ("province", "language")
    search_fields = ("name_en", "name_fr", "city", "domain", "slug", "ror")
    readonly_fields = ("confirmed",)  # an act of the reviewer confirms, for good


class NameOwnerForm(forms.Form):
    """Who shall own the membership, and how staff know that they may."""

    email = forms.EmailField(label="Address of a confirmed account")
    reason = forms.CharField(
        label="How you verified that they may act for the university",
        max_length=5_000,
        widget=forms.Textarea(attrs={"rows": 4}),
    )


@admin.register(Membership)
class MembershipAdmin(ActingAdmin):
    """Who is a member."""

    acts = (
        Act(
            name="owner",
            label="Name an owner",
            explain="No active person owns this membership. Whoever you name decides everything for the university, "
            "and is told by mail.",
            form=NameOwnerForm,
            run=name_owner,
            states=("joining", "active", "suspended", "leaving"),
            permission=Permission.REVIEW_APPLICATIONS,
            danger=True,
        ),
    )
    list_display = ("institution", "status", "tier", "fte", "joined_at", "ended_at")
    list_filter = ("status", "tier")
    list_select_related = ("institution",)
    search_fields = ("institution__name_en",)

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """Staff name an owner only where there is none."""
        return [act for act in super().acts_for(request, row) if not has_owner(row)]


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


class BankInline(ReadOnlyInline):
    """Bank details by currency, each with the days on which they hold; two people change them, on a page of its own."""

    model = BankDetails
    fields = ("currency", "bank", "holder", "account_number", "routing", "valid", "change")


@admin.register(Issuer)
class IssuerAdmin(StaffAdmin):
    """The legal entity that contracts and invoices, with its dated facts."""

    editor = Permission.ISSUE_INVOICES
    list_display = ("name_en", "slug", "country", "currency", "zone")
    inlines = (RegistrationInline, BankInline)


# Registered in their own modules.
__all__ = [
    "AgreementAdmin",
    "AgreementTemplateAdmin",
    "admin_applications",
    "admin_bank_details",
    "admin_diligence",
    "admin_people",
    "admin_sign_on",
]
