"""How a revision of a hub arrived with its people."""

from django.db import models
from django.db.models import F, Q

from consortium.kernel.fields import Row
from members.models import Institution
from provisioning.models.hubs import Hub


class Rollout(Row):
    """A revision that runs since `began_at`: how many people have worked with it, and when that was enough."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="rollouts")
    generation = models.PositiveIntegerField()
    began_at = models.DateTimeField()
    needed = models.PositiveIntegerField("people who must have worked with it")
    people = models.PositiveIntegerField(default=0)
    accepted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-generation"]
        constraints = [
            models.UniqueConstraint(fields=["hub", "generation"], name="rollout_once"),
            models.CheckConstraint(
                condition=Q(accepted_at=None, people__lt=F("needed"))
                | Q(accepted_at__gte=F("began_at"), people__gte=F("needed")),
                name="rollout_accepted_by_enough",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hub_id} #{self.generation}"
