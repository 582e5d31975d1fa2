"""A hub's move to another cluster: what was wanted, how far it is, what travelled, how it ended."""

from django.db import models
from django.db.models import Q

from consortium.kernel.fields import Row
from consortium.kernel.states import choices
from members.models import Institution, User
from provisioning.models.hubs import Cluster, Hub
from provisioning.states import MOVE

OPEN_MOVES = ("carrying", "cancelling", "switched")


class HubMove(Row):
    """One move. `homes` are those that travelled whole: by pseudonym, how many entries and the hash of their sums.

    `began_there` is set before the first thing is made at the new place: until then there is nothing to take back.
    `why` says why it was taken back.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="moves")
    from_cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="moves_from")
    to_cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="moves_to")
    generation = models.PositiveIntegerField()
    status = models.CharField(max_length=20, choices=choices(MOVE.states), default=MOVE.initial)
    reason = models.CharField(max_length=300)
    wanted_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    wanted_at = models.DateTimeField()
    began_there = models.BooleanField(default=False)
    homes = models.JSONField(default=dict, blank=True)
    homes_total = models.PositiveIntegerField(null=True)
    old_url = models.URLField(blank=True, default="")
    new_url = models.URLField(blank=True, default="")
    switched_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    why = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["-wanted_at"]
        constraints = [
            models.UniqueConstraint(fields=["hub"], condition=Q(status__in=OPEN_MOVES), name="hubmove_one_open"),
            models.CheckConstraint(condition=~Q(from_cluster=models.F("to_cluster")), name="hubmove_elsewhere"),
            models.CheckConstraint(
                condition=Q(status__in=["switched", "moved"], switched_at__isnull=False)
                | Q(status__in=["carrying", "cancelling", "cancelled"], switched_at=None),
                name="hubmove_switched_at",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["moved", "cancelled"], ended_at__isnull=False)
                | Q(status__in=OPEN_MOVES, ended_at=None),
                name="hubmove_ended_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hub_id} to {self.to_cluster_id}"
