"""Staff page of the status page's subscribers: to delete whoever asks them to."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from consortium.kernel.clock import now
from members.permissions import Permission
from members.staff_admin import StaffAdmin, held_by
from provisioning.models import StatusSubscription
from provisioning.status_mail.subscribing import forget


@admin.register(StatusSubscription)
class StatusSubscriptionAdmin(StaffAdmin):
    """Who gets the status page by mail; operators alone see it."""

    list_display = ("email", "language", "hub_slugs", "confirmed_at")
    search_fields = ("email",)
    exclude = ("token_hash",)
    actions = ("unsubscribe",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Addresses are for who may need to delete them."""
        return self.has_operate_permission(request)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may use the list's actions."""
        return Permission.OPERATE_HUBS in held_by(request)

    @admin.action(description="Unsubscribe and delete the address", permissions=["operate"])
    def unsubscribe(self, request: HttpRequest, queryset: "QuerySet[StatusSubscription]") -> None:
        """Delete the chosen addresses."""
        rows = list(queryset)
        for row in rows:
            forget(row, by=request.user, at=now())
        self.message_user(request, f"{len(rows)} unsubscribed.", messages.SUCCESS)
