"""An operator's hold: until it ends, nothing is done to a hub; drift is recorded and not repaired."""

from django.db import models

from consortium.kernel.fields import Row
from members.models import Institution, User
from provisioning.models.hubs import Hub


class HubHold(Row):
    """Hands off this hub until `until`, for a reason; released early or run out, it stays as history."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="holds")
    reason = models.CharField(max_length=300)
    held_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    held_at = models.DateTimeField()
    until = models.DateTimeField()
    released_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    released_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-held_at"]
        constraints = [
            models.UniqueConstraint(fields=["hub"], condition=models.Q(released_at=None), name="hubhold_one_open"),
            models.CheckConstraint(condition=models.Q(until__gt=models.F("held_at")), name="hubhold_ends"),
            models.CheckConstraint(
                condition=models.Q(released_at=None, released_by=None)
                | models.Q(released_at__isnull=False, released_by__isnull=False),
                name="hubhold_released_by",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hub_id} until {self.until:%Y-%m-%d %H:%M}"
