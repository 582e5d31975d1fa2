"""What consortium staff may do in the admin site, from their staff seats: Django asks, the roles answer."""

from typing import Any

from django.contrib.auth.backends import BaseBackend

from members.models import StaffSeat, User
from members.permissions import Permission, staff_permissions
from members.roles import StaffRole

OURS = frozenset({"consortium", "members", "provisioning", "billing"})
# Which app's rows a role may add and change; every role may look at everything of ours but the audit trail.
WRITES: dict[str, frozenset[str]] = {
    StaffRole.REVIEWER: frozenset({"members"}),
    StaffRole.FINANCE: frozenset({"billing"}),
    StaffRole.OPERATOR: frozenset({"provisioning"}),
    StaffRole.AUDITOR: frozenset(),
}


class StaffRoleBackend(BaseBackend):
    """Grants the admin site's permissions by staff role; it signs nobody in, and nobody may delete."""

    def authenticate(self, request: Any, **_credentials: Any) -> None:
        """Leave signing in to the other backends."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Answer for "app.action_model"."""
        app, _, name = perm.partition(".")
        action = name.partition("_")[0]
        if app not in OURS or not isinstance(user_obj, User) or not user_obj.is_staff:
            return False
        if name == "view_auditevent":
            return Permission.READ_AUDIT in staff_permissions(user_obj)
        roles = set(StaffSeat.objects.filter(user=user_obj, ended_at=None).values_list("role", flat=True))
        if action == "view":
            return bool(roles)
        return action in {"add", "change"} and any(app in WRITES[role] for role in roles)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Show our apps to whoever has a staff seat."""
        return self.has_perm(user_obj, f"{app_label}.view_any")
