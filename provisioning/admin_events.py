"""Staff pages of events: what is booked on which hub, and the acts of an emergency."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from consortium.kernel.clock import now
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin
from provisioning.events.booking import cancel_event
from provisioning.events.overriding import override_event
from provisioning.models import EventOverride, EventWindow


class OverrideForm(forms.Form):
    """Why, and for how long; the university reads it."""

    reason = forms.CharField(max_length=300, widget=forms.Textarea(attrs={"rows": 3}))
    until = forms.DateTimeField(
        label="Until (UTC)", initial=lambda: (now() + timedelta(hours=1)).replace(second=0, microsecond=0)
    )


def _shown(event: EventWindow) -> list[tuple[str, object]]:
    return [
        ("University", event.institution),
        ("Hub", event.hub),
        ("From", f"{event.starts_at:%Y-%m-%d %H:%M} UTC"),
        ("Until", f"{event.ends_at:%Y-%m-%d %H:%M} UTC"),
        ("People expected", event.expected_users),
    ]


class OverrideInline(admin.TabularInline):  # type: ignore[type-arg] # generic to the type checker alone
    """Emergencies."""

    model = EventOverride
    extra = 0
    can_delete = False
    fields = readonly_fields = ("at", "by", "until", "reason")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """They come from acts."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """All staff."""
        return bool(request.user.is_active and request.user.is_staff)


@admin.register(EventWindow)
class EventWindowAdmin(ActingAdmin):
    """Events of all universities, the next first; booked ones keep hands off their hubs."""

    list_display = ("title", "hub", "institution", "kind", "starts_at", "ends_at", "expected_users", "status", "price")
    list_filter = ("status", "kind", "hub__cluster")
    list_select_related = ("hub", "institution")
    search_fields = ("title", "hub__slug", "institution__name_en")
    date_hierarchy = "starts_at"
    inlines = (OverrideInline,)
    acts = (
        Act(
            name="override",
            label="Act in an emergency",
            explain="Until then the hub may be changed, suspended and repaired although its event is on. "
            "Whoever booked it is told your reason at once.",
            form=OverrideForm,
            run=override_event,
            states=("booked",),
            permission=Permission.OPERATE_HUBS,
            preview=_shown,
            danger=True,
        ),
        Act(
            name="cancel",
            label="Call off",
            explain="For the university, when it asks you to. The hub is handled as ever from now on.",
            form=forms.Form,
            run=cancel_event,
            states=("booked",),
            permission=Permission.OPERATE_HUBS,
            preview=_shown,
            danger=True,
        ),
    )
