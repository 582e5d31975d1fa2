"""Hubs: the catalogue, the clusters, each hub with its revisions, and what its meter saw."""

from django.db import models

from consortium.kernel.fields import Row
from consortium.kernel.language import Bilingual
from consortium.kernel.states import choices
from members.models import Institution, User
from provisioning.cluster_models import Cluster, ClusterCredential
from provisioning.states import HUB

__all__ = [
    "Cluster",
    "ClusterCredential",
    "Environment",
    "Hub",
    "HubDay",
    "HubDayUser",
    "HubRevision",
    "Sample",
    "SamplingRun",
]


class Environment(Row):
    """An entry of the catalogue: what students find when their server starts."""

    key = models.SlugField(max_length=40, unique=True)
    name_en = models.CharField(max_length=100)
    name_fr = models.CharField(max_length=100)
    description_en = models.TextField(blank=True)
    description_fr = models.TextField(blank=True)
    image = models.CharField(max_length=300)
    default_url = models.CharField(max_length=100, default="/lab")
    retired_at = models.DateTimeField(null=True, blank=True)

    name = Bilingual("name")
    description = Bilingual("description")

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return self.name_en


class Hub(Row):
    """A JupyterHub of one university in one cluster, equal to its current revision."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="hubs")
    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="hubs")
    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=100)
    purpose = models.TextField(blank=True)
    status = models.CharField(max_length=20, choices=choices(HUB.states), default=HUB.initial)
    agreement_id = models.UUIDField("agreement that entitles it")
    zone = models.CharField("zone of its days", max_length=60)
    generation = models.PositiveIntegerField(default=0)
    observed_generation = models.PositiveIntegerField(default=0)
    observed_spec_hash = models.CharField(max_length=64, blank=True, default="")
    url = models.URLField(blank=True, default="")
    version = models.CharField(max_length=40, blank=True, default="")
    healthy_at = models.DateTimeField(null=True, blank=True)
    unreachable_since = models.DateTimeField(null=True, blank=True)
    drift = models.JSONField("where it differs from its spec", default=list, blank=True)
    drift_seen_at = models.DateTimeField(null=True, blank=True)
    requested_by = models.ForeignKey(User, models.PROTECT, null=True)
    requested_at = models.DateTimeField()
    declined_reason = models.TextField(blank=True, default="")
    running_at = models.DateTimeField(null=True, blank=True)
    staging_of = models.OneToOneField(
        "self", models.PROTECT, null=True, blank=True, related_name="staging", verbose_name="production hub of the twin"
    )

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(observed_generation__lte=models.F("generation")), name="hub_not_ahead_of_itself"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class HubRevision(Row):
    """One version of a hub's spec: what it should be, who wanted it, when. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="revisions")
    generation = models.PositiveIntegerField()
    spec = models.JSONField("spec (provisioning.specs.HubSpec)")
    spec_hash = models.CharField(max_length=64)
    author = models.ForeignKey(User, models.PROTECT, null=True)
    at = models.DateTimeField()
    note = models.CharField(max_length=300, blank=True)
    estimate = models.JSONField("what a month of it was reckoned to cost, and from what", default=dict, blank=True)

    class Meta:
        ordering = ["-generation"]
        constraints = [models.UniqueConstraint(fields=["hub", "generation"], name="hubrevision_once")]

    def __str__(self) -> str:
        return f"{self.hub_id} #{self.generation}"


class SamplingRun(Row):
    """One look of the meter at one hub; a missing or failed one is a gap, never zero use. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="sampling_runs")
    at = models.DateTimeField()
    ok = models.BooleanField()
    interval_seconds = models.PositiveIntegerField("seconds to the next look, as planned")
    servers = models.PositiveIntegerField(default=0)
    storage_bytes = models.PositiveBigIntegerField("bytes of its people's homes, where they were measured", null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hub", "at"], name="samplingrun_once")]

    def __str__(self) -> str:
        return f"{self.hub_id} {self.at:%Y-%m-%d %H:%M:%S}"


class Sample(Row):
    """One running server seen at one look; the person is a pseudonym under the institution's key. Append-only.

    PostgreSQL keeps each UTC month in a partition of its own (provisioning/sample_months.py).
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="samples")
    at = models.DateTimeField()
    pseudonym = models.CharField(max_length=64)
    server = models.CharField(max_length=100, blank=True)
    started_at = models.DateTimeField()
    ready = models.BooleanField(default=True)
    memory_bytes = models.PositiveBigIntegerField(default=0)
    gpus = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hub", "at", "pseudonym", "server"], name="sample_once"),
            models.CheckConstraint(
                condition=models.Q(pseudonym__regex=r"^[0-9a-f]{32,64}$"), name="sample_pseudonymous"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hub_id} {self.at:%Y-%m-%d %H:%M:%S}"


class HubDay(Row):
    """A hub's use on one day of its zone, rolled up from samples; rolled again it comes out the same."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="days")
    day = models.DateField()
    zone = models.CharField(max_length=60)
    server_seconds = models.PositiveBigIntegerField(default=0)
    memory_gib_seconds = models.DecimalField(max_digits=20, decimal_places=6, default=0)
    gpu_seconds = models.PositiveBigIntegerField(default=0)
    storage_gib_seconds = models.DecimalField(max_digits=24, decimal_places=6, default=0)
    active_users = models.PositiveIntegerField(default=0)
    sessions = models.PositiveIntegerField(default=0)
    gap_seconds = models.PositiveIntegerField(default=0)
    generated = models.BooleanField("demonstration data", default=False)
    rolled_at = models.DateTimeField()

    class Meta:
        ordering = ["day"]
        constraints = [models.UniqueConstraint(fields=["hub", "day"], name="hubday_once")]

    def __str__(self) -> str:
        return f"{self.hub_id} {self.day}"


class HubDayUser(Row):
    """A person (as a pseudonym) who started a server on that day: what active users are counted from."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.ForeignKey(Hub, models.PROTECT, related_name="day_users")
    day = models.DateField()
    pseudonym = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hub", "day", "pseudonym"], name="hubdayuser_once")]

    def __str__(self) -> str:
        return f"{self.hub_id} {self.day}"
