"""A member's way out: from notice of leaving to the certificate that its data is deleted."""

from django.db import models
from django.db.models import F, Q

from consortium.kernel.fields import Row
from consortium.kernel.states import choices
from members.models.agreements import Agreement
from members.models.institutions import Institution
from members.states_exit import ENDED, EXIT


class MemberExit(Row):
    """One exit, with the day of each step. What is kept of it stands in documents about this row."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="exits")
    agreement = models.ForeignKey(Agreement, models.PROTECT, related_name="exits")
    status = models.CharField(max_length=20, choices=choices(EXIT.states), default=EXIT.initial)
    last_day = models.DateField("last day of the agreement")
    delete_on = models.DateField("day from which its data is deleted")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField("when its last day was over", null=True, blank=True)
    billed_at = models.DateTimeField("when all was ended and billed", null=True, blank=True)
    settled_at = models.DateTimeField("when nothing was open any more", null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(fields=["agreement"], condition=~Q(status__in=ENDED), name="memberexit_one_open"),
            models.CheckConstraint(condition=Q(delete_on__gt=F("last_day")), name="memberexit_keeps_a_while"),
            models.CheckConstraint(
                condition=Q(status__in=["open", "withdrawn"]) | Q(closed_at__isnull=False), name="memberexit_closed"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["settling", "keeping", "certified"]) | Q(billed_at__isnull=False),
                name="memberexit_billed",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["keeping", "certified"]) | Q(settled_at__isnull=False),
                name="memberexit_settled",
            ),
            models.CheckConstraint(
                condition=Q(status__in=ENDED, ended_at__isnull=False) | ~Q(status__in=ENDED) & Q(ended_at=None),
                name="memberexit_ends",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.institution} leaves on {self.last_day}"
