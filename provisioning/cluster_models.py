"""Clusters and the credentials for them. Clouds differ only in these data."""

from typing import override

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import get_language

from consortium.kernel.fields import Row
from members.models import User

PROVIDERS = [
    ("local", "this machine"),
    ("aws", "Amazon Web Services"),
    ("google", "Google Cloud"),
    ("azure", "Microsoft Azure"),
    ("openstack", "OpenStack"),
    ("metal", "bare metal"),
]


class Cluster(Row):
    """Where hubs run. Clouds differ only in these data."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=100)
    name_fr = models.CharField("name in French", max_length=100, blank=True, default="", help_text="Empty: the same.")
    driver = models.CharField(max_length=20, choices=[("local", "local processes"), ("kubernetes", "Kubernetes")])
    provider = models.CharField(max_length=40, blank=True, choices=PROVIDERS)
    region = models.CharField(max_length=60, blank=True)
    capacity = models.PositiveIntegerField("hubs it can hold", default=20)
    endpoint = models.CharField("address of its API", max_length=300, blank=True, default="", editable=False)
    hub_address = models.CharField(
        "address of its hubs",
        max_length=200,
        blank=True,
        default="",
        help_text="Where a hub without a domain of its own answers, such as https://{slug}.hubs.example.ca/",
    )
    ingress_class = models.CharField(max_length=100, blank=True, default="")
    gateway = models.CharField(
        max_length=200, blank=True, default="", help_text="In place of an ingress class: namespace/name of a Gateway."
    )
    ingress_annotations = models.JSONField(default=dict, blank=True)
    storage_class = models.CharField(max_length=100, blank=True, default="", help_text="Empty: the cluster's default.")
    node_selector = models.JSONField(default=dict, blank=True)
    cost_tags = models.JSONField(
        default=dict, blank=True, help_text="Labels of everything its hubs run, for reading a bill by them."
    )
    chart_reference = models.CharField(
        "chart", max_length=300, blank=True, default="", help_text="A path on the server, oci://…, or https://…/name"
    )
    chart_version = models.CharField(max_length=40, blank=True, default="")
    chart_digest = models.CharField("SHA-256 of the chart's archive", max_length=64, blank=True, default="")
    settings = models.JSONField(default=dict, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    check_problems = models.JSONField(default=list, blank=True, editable=False)
    capabilities = models.JSONField(default=dict, blank=True, editable=False)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(driver__in=["local", "kubernetes"]), name="cluster_driver"),
            models.CheckConstraint(condition=Q(chart_digest__regex=r"^([0-9a-f]{64})?$"), name="cluster_chart_digest"),
            models.CheckConstraint(
                condition=Q(hub_address="") | Q(hub_address__contains="{slug}", hub_address__endswith="/"),
                name="cluster_address_per_hub",
            ),
            models.CheckConstraint(condition=Q(ingress_class="") | Q(gateway=""), name="cluster_one_way_in"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def called(self) -> str:
        """Its name in the language that is active; one without a French name is called the same in both."""
        return self.name_fr if self.name_fr and (get_language() or "").startswith("fr") else self.name

    @property
    def status(self) -> str:
        """For the acts of the admin site: a retired cluster takes no new hubs and needs no acts but its credentials."""
        return "retired" if self.retired_at else "open"

    @override
    def clean(self) -> None:
        """Check what a Kubernetes cluster needs, field by field."""
        from provisioning.clusters import problems_of  # noqa: PLC0415 - the rules use this model

        if found := problems_of(self):
            raise ValidationError({field: [text] for field, text in found.items()})


class ClusterCredential(Row):
    """The way into a cluster, in an envelope of its own; the newest one counts, and older ones end when it comes."""

    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="credentials")
    wrapped_key = models.TextField("data key under the portal's keys")
    sealed = models.TextField("kubeconfig under the data key")
    made_by = models.ForeignKey(User, models.PROTECT, null=True)
    made_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster"], condition=Q(retired_at=None), name="clustercredential_one_in_use"
            ),
            models.CheckConstraint(
                condition=Q(retired_at=None) | Q(retired_at__gte=models.F("made_at")), name="clustercredential_dates"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cluster_id} {self.made_at:%Y-%m-%d}"
