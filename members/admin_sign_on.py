"""Staff pages of domains and sign-on: to look at when a university asks for help. Nobody changes them here."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from members.models import Domain, SignOn, SignOnTest
from members.staff_admin import StaffAdmin


class ReadOnlyAdmin(StaffAdmin):
    """Rows that belong to the institution's own people."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody."""
        return False


@admin.register(Domain)
class DomainAdmin(ReadOnlyAdmin):
    """Which domains are whose, and what the DNS last said."""

    list_display = ("name", "institution", "status", "checked_at", "missing_since", "problem")
    list_filter = ("status", "problem")
    search_fields = ("name", "institution__name_en")


@admin.register(SignOn)
class SignOnAdmin(ReadOnlyAdmin):
    """How each university signs on; the sealed secret is not shown."""

    list_display = ("institution", "kind", "status", "issuer", "created_at")
    list_filter = ("status", "kind")
    search_fields = ("issuer", "institution__name_en")
    exclude: ClassVar[tuple[str, ...]] = ("sealed_secret",)


@admin.register(SignOnTest)
class SignOnTestAdmin(ReadOnlyAdmin):
    """What tests of sign-on released and lacked."""

    list_display = ("institution", "sign_on", "at", "by", "passed", "missing")
    list_filter = ("passed",)
    date_hierarchy = "at"
