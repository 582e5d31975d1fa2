"""How well hubs kept their promise: proofs of work, days, incidents, maintenance, monthly statements, questions."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.language import Bilingual
from consortium.kernel.states import choices
from members.models import Institution, User
from provisioning.models.hubs import Cluster, Hub
from provisioning.states import INCIDENT, QUESTION


class WorkCheck(Row):
    """One visit of the synthetic user: signed in, started a server, wrote to its home, or where it failed.

    Append-only. `step` is the first step that failed; `milliseconds` is how long the whole visit took.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="work_checks")
    at = models.DateTimeField()
    ok = models.BooleanField()
    step = models.CharField(max_length=20, blank=True)
    milliseconds = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)
    interval_seconds = models.PositiveIntegerField("seconds to the next visit, as planned")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hub", "at"], name="workcheck_once"),
            models.CheckConstraint(condition=models.Q(ok=True, step="") | models.Q(ok=False), name="workcheck_step"),
        ]

    def __str__(self) -> str:
        return f"{self.hub_id} {self.at:%Y-%m-%d %H:%M:%S}"


class ServiceDay(Row):
    """A hub's service on one day of its zone, in whole seconds; counted again it comes out the same."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="service_days")
    day = models.DateField()
    zone = models.CharField(max_length=60)
    served_seconds = models.PositiveIntegerField(default=0)
    down_seconds = models.PositiveIntegerField(default=0)
    unknown_seconds = models.PositiveIntegerField(default=0)
    excluded_seconds = models.PositiveIntegerField(default=0)
    outages = models.PositiveIntegerField(default=0)
    generated = models.BooleanField("demonstration data", default=False)
    counted_at = models.DateTimeField()

    class Meta:
        ordering = ["day"]
        constraints = [models.UniqueConstraint(fields=["hub", "day"], name="serviceday_once")]

    def __str__(self) -> str:
        return f"{self.hub_id} {self.day}"


class Maintenance(Row):
    """Work that was announced: excluded from the service level when the announcement came early enough.

    Public. `cluster` None means every cluster. Never deleted: it is cancelled.
    """

    cluster = models.ForeignKey(Cluster, models.PROTECT, null=True, blank=True, help_text="Empty: all clusters.")
    title_en = models.CharField(max_length=200)
    title_fr = models.CharField(max_length=200)
    text_en = models.TextField(blank=True)
    text_fr = models.TextField(blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    announced_at = models.DateTimeField(editable=False)
    cancelled_at = models.DateTimeField(null=True, blank=True, editable=False)

    title = Bilingual("title")
    text = Bilingual("text")

    class Meta:
        verbose_name_plural = "maintenance"
        ordering = ["-starts_at"]
        constraints = [
            models.CheckConstraint(condition=models.Q(ends_at__gt=models.F("starts_at")), name="maintenance_lasts"),
        ]

    def __str__(self) -> str:
        return f"{self.title_en} ({self.starts_at:%Y-%m-%d %H:%M} UTC)"


class Incident(Row):
    """Something that went wrong, as the status page tells it. Public; its history is its updates.

    `hub_slugs` are the hubs it touches (empty: all). `excluded_as` says why the promise does not count it, if so.
    """

    title_en = models.CharField(max_length=200)
    title_fr = models.CharField(max_length=200)
    status = models.CharField(max_length=20, choices=choices(INCIDENT.states), default=INCIDENT.initial)
    hub_slugs = ArrayField(models.CharField(max_length=40), default=list, blank=True, verbose_name="hubs")
    started_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    excluded_as = models.CharField(
        max_length=20,
        blank=True,
        choices=[("sign_on", "the university's own sign-on"), ("force_majeure", "force majeure")],
    )

    title = Bilingual("title")

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(resolved_at=None) | models.Q(resolved_at__gt=models.F("started_at")),
                name="incident_lasts",
            ),
            models.CheckConstraint(
                condition=models.Q(status="resolved", resolved_at__isnull=False)
                | (~models.Q(status="resolved") & models.Q(resolved_at=None)),
                name="incident_resolved_at",
            ),
        ]

    def __str__(self) -> str:
        return self.title_en


class IncidentUpdate(Row):
    """What was said about an incident, and the state it was in from then on. Append-only."""

    incident = models.ForeignKey(Incident, models.PROTECT, related_name="updates")
    status = models.CharField(max_length=20, choices=choices(INCIDENT.states))
    text_en = models.TextField()
    text_fr = models.TextField()
    author = models.ForeignKey(User, models.PROTECT, null=True)
    at = models.DateTimeField()

    text = Bilingual("text")

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.status} {self.at:%Y-%m-%d %H:%M}"


class ServiceStatement(Row):
    """What one hub's month came to, with its terms and evidence. Append-only; a correction is a newer version.

    `evidence` holds the outages, unknown periods and exclusions that were counted, `evidence_sha256` its canonical
    JSON. `availability` is a share of one, empty when there is no result; `credit` is in `currency`.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="statements")
    agreement_id = models.UUIDField("agreement that promised it")
    month = models.CharField(max_length=7)
    version = models.PositiveIntegerField(default=1)
    zone = models.CharField(max_length=60)
    result = models.CharField(max_length=20)
    target = models.DecimalField(max_digits=6, decimal_places=5)
    availability = models.DecimalField(max_digits=6, decimal_places=5, null=True)
    served_seconds = models.PositiveIntegerField()
    down_seconds = models.PositiveIntegerField()
    unknown_seconds = models.PositiveIntegerField()
    excluded_seconds = models.PositiveIntegerField()
    credit_share = models.DecimalField(max_digits=6, decimal_places=5)
    credit = AmountField()
    currency = CurrencyField()
    evidence = models.JSONField()
    evidence_sha256 = models.CharField(max_length=64)
    made_at = models.DateTimeField()
    reason = models.CharField("why there is a newer version", max_length=300, blank=True)

    class Meta:
        ordering = ["-month", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["hub", "month", "version"], name="servicestatement_version"),
            models.CheckConstraint(condition=models.Q(month__regex=r"^\d{4}-(0[1-9]|1[0-2])$"), name="statement_month"),
            models.CheckConstraint(
                condition=models.Q(result__in=["met", "missed", "insufficient", "not_measured"]),
                name="servicestatement_result",
            ),
            models.CheckConstraint(
                condition=models.Q(credit=0) | models.Q(result="missed", credit__gt=0), name="servicestatement_credit"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hub_id} {self.month} v{self.version}"


class StatementQuestion(Row):
    """A university questions an interval of a statement; staff answer, and may have it counted again."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    statement = models.ForeignKey(ServiceStatement, models.PROTECT, related_name="questions")
    status = models.CharField(max_length=20, choices=choices(QUESTION.states), default=QUESTION.initial)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    text = models.TextField()
    asked_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    answer = models.TextField(blank=True)
    answered_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    answered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-asked_at"]
        constraints = [
            models.CheckConstraint(condition=models.Q(ends_at__gt=models.F("starts_at")), name="question_interval"),
            models.CheckConstraint(
                condition=models.Q(status="open") | models.Q(answered_at__isnull=False), name="question_answered"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.statement} ({self.status})"
