"""Staff pages of hubs: the work queue of operators, the clusters, the catalogue, and what the meter rolled up."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin, StaffAdmin, held_by
from provisioning import admin_events, admin_service, admin_subscriptions, admin_support
from provisioning.admin_clusters import ClusterAdmin
from provisioning.admin_life import LIFE_ACTS, preview
from provisioning.models import Environment, Hub, HubDay, HubRevision
from provisioning.moving.acts import MOVE_ACTS
from provisioning.queries import health_of
from provisioning.requests import approve_hub, decline_hub, retry_hub

__all__ = [
    "ClusterAdmin",
    "EnvironmentAdmin",
    "HubAdmin",
    "HubDayAdmin",
    "admin_events",
    "admin_service",
    "admin_subscriptions",
    "admin_support",
]


class DeclineForm(forms.Form):
    """Why."""

    reason = forms.CharField(max_length=2_000, widget=forms.Textarea(attrs={"rows": 4}))


def _wanted(hub: Hub) -> list[tuple[str, object]]:
    """What the newest revision says, for the page that asks before anything moves."""
    revision = hub.revisions.first()
    spec = revision.spec if revision else {}
    return [
        ("University", hub.institution),
        ("Purpose", hub.purpose),
        ("Environment", spec.get("environment", "")),
        ("Memory of one server (MiB)", spec.get("size", {}).get("memory_limit_mib", "")),
        ("Servers at once", spec.get("max_servers", "")),
        ("People expected", spec.get("expected_users", "")),
        ("Cluster", hub.cluster),
        ("Staging twin of", hub.staging_of or "–"),
        ("Its staging twin", getattr(hub, "staging", None) or "–"),
    ]


class RevisionInline(admin.TabularInline):  # type: ignore[type-arg] # generic to the type checker alone
    """A hub's revisions, newest first."""

    model = HubRevision
    template = "admin/read_only_rows.html"
    extra = 0
    can_delete = False
    fields = readonly_fields = ("generation", "spec_hash", "author", "at", "note")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Revisions come from requests."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """All staff."""
        return bool(request.user.is_active and request.user.is_staff)


@admin.register(Hub)
class HubAdmin(ActingAdmin):
    """Every hub with its health and whether it is behind its newest revision."""

    list_display = ("slug", "institution", "cluster", "status", "health", "equals_spec", "version", "requested_at")
    list_filter = ("status", "cluster", ("unreachable_since", admin.EmptyFieldListFilter))
    list_select_related = ("institution", "cluster")
    search_fields = ("slug", "name", "institution__name_en", "institution__name_fr")
    date_hierarchy = "requested_at"
    inlines = (RevisionInline,)
    actions = ("approve", "retry")
    acts = (
        Act(
            name="approve",
            label="Approve and set up",
            explain="The hub is set up on its cluster now; whoever asked is told when it is ready.",
            form=forms.Form,
            run=approve_hub,
            states=("requested",),
            permission=Permission.OPERATE_HUBS,
            preview=_wanted,
        ),
        Act(
            name="decline",
            label="Decline",
            explain="The request ends here. The university may make another one.",
            form=DeclineForm,
            run=decline_hub,
            states=("requested", "approved"),
            permission=Permission.OPERATE_HUBS,
            preview=_wanted,
            danger=True,
        ),
        Act(
            name="retry",
            label="Retry what failed",
            explain="The work goes on from what is already there.",
            form=forms.Form,
            run=retry_hub,
            states=("failed", "provisioning", "updating", "moving", "running", "degraded", "suspended", "retiring"),
            permission=Permission.OPERATE_HUBS,
            preview=preview,
        ),
        *LIFE_ACTS,
        *MOVE_ACTS,
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Hub]:
        """Bring the hash of the newest revision along, so that the list costs one query."""
        newest = HubRevision.objects.filter(hub=OuterRef("pk"), generation=OuterRef("generation"))
        hubs: QuerySet[Hub] = super().get_queryset(request)
        return hubs.annotate(wanted_hash=Subquery(newest.values("spec_hash")[:1]))

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may use the list's actions."""
        return Permission.OPERATE_HUBS in held_by(request)

    @admin.display(description=gettext_lazy("health"))
    def health(self, hub: Hub) -> str:
        """How the meter last saw it."""
        seen = health_of(hub, at=now())
        words = {"healthy": _("healthy"), "unreachable": _("unreachable"), "unknown": _("unknown")}
        since = f" ({seen.since:%Y-%m-%d %H:%M} UTC)" if seen.since else ""
        return words[seen.state] + since

    @admin.display(description=gettext_lazy("equals its spec"), boolean=True)
    def equals_spec(self, hub: Hub) -> bool:
        """Whether what was last made is what is wanted, and was found so; a cross when it is not."""
        wanted = getattr(hub, "wanted_hash", None)
        return hub.observed_spec_hash == wanted and hub.observed_generation == hub.generation and not hub.drift

    @admin.action(description=gettext_lazy("Approve and set up"), permissions=["operate"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Hub]) -> None:
        """Approve the chosen requests; each that cannot be is named with the reason."""
        self._each(request, queryset, approve_hub, _("%(hub)s is approved and will be set up."))

    @admin.action(description=gettext_lazy("Retry what failed"), permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Hub]) -> None:
        """Queue failed work again."""
        self._each(request, queryset, retry_hub, _("The work on %(hub)s goes on."))

    def _each(self, request: HttpRequest, queryset: QuerySet[Hub], act: Any, done: str) -> None:
        for hub in queryset.order_by("pk"):
            try:
                act(hub, by=request.user, at=now())
            except PortalError as refused:
                self.message_user(request, f"{hub.slug}: {refused.message}", messages.WARNING)
            else:
                self.message_user(request, done % {"hub": hub.slug}, messages.SUCCESS)


@admin.register(Environment)
class EnvironmentAdmin(StaffAdmin):
    """The catalogue."""

    editor = Permission.OPERATE_HUBS
    list_display = ("key", "name_en", "name_fr", "image", "default_url", "retired_at")


@admin.register(HubDay)
class HubDayAdmin(StaffAdmin):
    """Use by hub and day, read-only: it comes from samples alone."""

    list_display = (
        "day",
        "hub",
        "institution",
        "server_seconds",
        "memory_gib_seconds",
        "active_users",
        "gap_seconds",
        "generated",
        "rolled_at",
    )
    list_filter = ("generated",)
    list_select_related = ("hub", "institution")
    search_fields = ("hub__slug", "institution__name_en")
    date_hierarchy = "day"
