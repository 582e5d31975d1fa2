"""What being overdue leads to: the rungs of a ladder, each confirmed by a person, and the hubs it stopped."""

from django.db import models
from django.db.models import Q

from billing.states_collecting import LAPSE
from consortium.kernel.fields import Row
from consortium.kernel.states import choices
from members.models import Agreement, Institution, User

RUNGS = ("notice", "read_only", "suspended", "retired")


class LapseStep(Row):
    """One rung of the ladder of an agreement. PostgreSQL lets none be confirmed without the one before it, nor early.

    `overdue_since` is the due day of the oldest invoice that led here; `facts` what was overdue when it was proposed.
    """

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="lapse_steps")
    agreement = models.ForeignKey(Agreement, models.PROTECT, related_name="lapse_steps")
    rung = models.CharField(max_length=10, choices=[(rung, rung.replace("_", "-")) for rung in RUNGS])
    status = models.CharField(max_length=20, choices=choices(LAPSE.states), default=LAPSE.initial)
    overdue_since = models.DateField()
    facts = models.JSONField("what was overdue, by invoice", default=dict)
    proposed_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True, blank=True)
    confirmed_on = models.DateField("day of its confirmation in the agreement's zone", null=True, blank=True)
    reason = models.CharField("what the member reads, or why it was laid aside", max_length=300, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-proposed_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["agreement", "rung"], condition=Q(status__in=["proposed", "confirmed"]), name="lapsestep_once"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["confirmed", "lifted"])
                | Q(confirmed_by__isnull=False, confirmed_at__isnull=False, confirmed_on__isnull=False) & ~Q(reason=""),
                name="lapsestep_confirmed_by_a_person",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.institution}: {self.get_rung_display()}"


class HubStop(Row):
    """A hub that was stopped because of its university's standing; it is woken when no cause is left. Cause and times.

    The hub is named by its key alone: money knows no hubs.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    agreement = models.ForeignKey(Agreement, models.PROTECT)
    hub_id = models.UUIDField()
    cause = models.CharField(max_length=10, choices=[("ladder", "the ladder"), ("agreement", "suspended agreement")])
    stopped_at = models.DateTimeField()
    woken_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-stopped_at"]
        constraints = [
            models.UniqueConstraint(fields=["hub_id"], condition=Q(woken_at=None), name="hubstop_once"),
            models.CheckConstraint(
                condition=Q(woken_at=None) | Q(woken_at__gte=models.F("stopped_at")), name="hubstop_ends_after"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hub_id} ({self.cause})"
