"""Requests for support: what was asked about a hub, what was said, and the clocks that ran meanwhile."""

from django.db import models
from django.db.models import Q

from consortium.kernel.fields import Row
from consortium.kernel.language import Bilingual
from consortium.kernel.states import choices
from members.models import Institution, User
from provisioning.models.hubs import Hub
from provisioning.support_states import SUPPORT


class SupportRequest(Row):
    """Something that a university's people ask about a hub, with the terms that held when they did.

    Hours are those of the agreement at the opening, None where nothing was promised; `zone` is the agreement's.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="support_requests")
    number = models.PositiveIntegerField("number within the hub")
    title = models.CharField(max_length=150)
    status = models.CharField(max_length=20, choices=choices(SUPPORT.states), default=SUPPORT.initial)
    severity = models.CharField(max_length=60)
    severity_en = models.CharField(max_length=100)
    severity_fr = models.CharField(max_length=100)
    response_hours = models.PositiveIntegerField(null=True)
    update_hours = models.PositiveIntegerField(null=True)
    around_the_clock = models.BooleanField(default=False)
    zone = models.CharField(max_length=60)
    opened_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    severity_name = Bilingual("severity")

    class Meta:
        ordering = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(fields=["hub", "number"], name="supportrequest_number"),
            models.CheckConstraint(
                condition=~Q(status="resolved") | Q(resolved_at__isnull=False), name="supportrequest_resolved_at"
            ),
            models.CheckConstraint(
                condition=Q(status="closed", closed_at__isnull=False) | (~Q(status="closed") & Q(closed_at=None)),
                name="supportrequest_closed_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.title}"

    @property
    def reference(self) -> str:
        """What people call it by: the hub's short name and its number there."""
        return f"{self.hub.slug}#{self.number}"


class SupportMessage(Row):
    """What was said, by which side, and the state the request was in from then on. Append-only.

    `internal` is a note that only consortium staff read.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    request = models.ForeignKey(SupportRequest, models.PROTECT, related_name="messages")
    side = models.CharField(max_length=12, choices=[(side, side) for side in ("member", "consortium", "portal")])
    internal = models.BooleanField(default=False)
    status = models.CharField(max_length=20, choices=choices(SUPPORT.states))
    text = models.TextField()
    author = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(internal=False) | Q(side="consortium"), name="supportmessage_internal"),
            models.CheckConstraint(condition=Q(side="portal") | Q(author__isnull=False), name="supportmessage_author"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.at:%Y-%m-%d %H:%M}"


class SupportClock(Row):
    """A promise that runs: the consortium's next word is due at `due_at`.

    `stopped_by` says what ended it: the consortium's word, the member's act, or another severity. While the consortium
    waits for the member no clock runs.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    request = models.ForeignKey(SupportRequest, models.PROTECT, related_name="clocks")
    kind = models.CharField(max_length=10, choices=[("response", "first answer"), ("update", "news")])
    started_at = models.DateTimeField()
    due_at = models.DateTimeField()
    warned_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)
    stopped_by = models.CharField(
        max_length=10, blank=True, choices=[("answer", "an answer"), ("member", "the member"), ("severity", "severity")]
    )

    class Meta:
        ordering = ["started_at"]
        constraints = [
            models.UniqueConstraint(fields=["request"], condition=Q(stopped_at=None), name="supportclock_one_runs"),
            models.CheckConstraint(condition=Q(due_at__gt=models.F("started_at")), name="supportclock_lasts"),
            models.CheckConstraint(
                condition=Q(stopped_at=None, stopped_by="") | (Q(stopped_at__isnull=False) & ~Q(stopped_by="")),
                name="supportclock_stopped_by",
            ),
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(stopped_at=None), name="supportclock_running")]

    def __str__(self) -> str:
        return f"{self.kind} due {self.due_at:%Y-%m-%d %H:%M} UTC"


class ClosedDay(Row):
    """A day on which business hours do not run, such as a statutory holiday. Everybody may know it."""

    day = models.DateField(unique=True)
    name_en = models.CharField(max_length=100)
    name_fr = models.CharField(max_length=100)

    name = Bilingual("name")

    class Meta:
        ordering = ["day"]

    def __str__(self) -> str:
        return f"{self.day} {self.name_en}"
