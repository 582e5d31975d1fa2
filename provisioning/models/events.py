"""Events: booked dates of an exam or a workshop, in which nobody touches the hub."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Institution, User
from provisioning.event_states import EVENT
from provisioning.models.hubs import Hub


class _Range(Func):
    """The half-open range of two instants."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class EventWindow(Row):
    """From `starts_at` up to, not including, `ends_at` a hub is left alone. Two of one hub never overlap.

    `price` is what the agreement asks for it, in `currency`, 0 for one of those included. Before it begins culling is
    turned off: `cull_before` is how it was, `prepared_generation` the revision that says so, `restored_at` when it was
    put back.
    """

    KINDS = (("exam", "exam"), ("workshop", "workshop"), ("other", "other"))

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=10, choices=KINDS)
    title = models.CharField(max_length=100)
    expected_users = models.PositiveIntegerField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    status = models.CharField(max_length=20, choices=choices(EVENT.states), default=EVENT.initial)
    price = AmountField(default=0)
    currency = CurrencyField()
    booked_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    booked_at = models.DateTimeField()
    cancelled_at = models.DateTimeField(null=True)
    prepared_at = models.DateTimeField(null=True)
    prepared_generation = models.PositiveIntegerField(null=True)
    cull_before = models.JSONField(null=True)
    restored_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["starts_at"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="eventwindow_lasts"),
            models.CheckConstraint(condition=Q(price__gte=0), name="eventwindow_price"),
            models.CheckConstraint(
                condition=Q(status="cancelled", cancelled_at__isnull=False)
                | (~Q(status="cancelled") & Q(cancelled_at=None)),
                name="eventwindow_cancelled_at",
            ),
            ExclusionConstraint(
                name="eventwindow_one_at_a_time",
                expressions=[
                    (F("hub"), RangeOperators.EQUAL),
                    (_Range(F("starts_at"), F("ends_at")), RangeOperators.OVERLAPS),
                ],
                condition=~Q(status="cancelled"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.starts_at:%Y-%m-%d %H:%M} UTC)"


class EventOverride(Row):
    """An operator's emergency: until then the event protects its hub no more, for a reason. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    event = models.ForeignKey(EventWindow, models.PROTECT, related_name="overrides")
    reason = models.CharField(max_length=300)
    until = models.DateTimeField()
    by = models.ForeignKey(User, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["at"]
        constraints = [models.CheckConstraint(condition=Q(until__gt=F("at")), name="eventoverride_lasts")]

    def __str__(self) -> str:
        return f"until {self.until:%Y-%m-%d %H:%M} UTC: {self.reason}"
