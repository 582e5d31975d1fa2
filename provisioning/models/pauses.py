"""When nothing was promised of a hub because it slept on purpose, or was gone."""

from django.db import models
from django.db.models import F, Q

from consortium.kernel.fields import Row
from members.models import Institution
from provisioning.models.hubs import Hub


class HubPause(Row):
    """A hub was suspended from an instant to another one, or was retired for good: its service level is not measured.

    Written with the change of the hub's state; only its end comes later, once.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="pauses")
    reason = models.CharField(
        max_length=20, choices=[("suspended", "suspended"), ("retired", "retired")], default="suspended"
    )
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.UniqueConstraint(fields=["hub"], condition=Q(ended_at=None), name="hubpause_one_open"),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("started_at")), name="hubpause_order"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hub_id} {self.reason} {self.started_at:%Y-%m-%d %H:%M}"
