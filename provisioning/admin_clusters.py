"""Staff pages of clusters: their data, their credentials (written, never shown), the connection test and its report."""

from typing import Any, override

from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from consortium.models import Job
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin
from provisioning.cluster_checks import CHECK, want_check
from provisioning.cluster_models import Cluster
from provisioning.clusters import pin_chart, store_credentials

_REPORT = (
    ("version", "Kubernetes"),
    ("nodes", "Nodes"),
    ("memory_gib", "Memory for pods (GiB)"),
    ("cpu", "Cores for pods"),
    ("gpus", "GPUs"),
    ("storage_classes", "Storage classes"),
    ("default_storage_class", "Default storage class"),
    ("ingress_classes", "Ingress classes"),
    ("gateway_api", "Gateway API"),
    ("volume_snapshots", "Volume snapshots"),
    ("metrics", "Metrics"),
    ("chart", "Chart"),
)


class SecretText(forms.Textarea):
    """A field whose content is never sent back to the browser, not even with an error beside it."""

    @override
    def format_value(self, value: Any) -> str | None:
        """Nothing."""
        return None


class KubeconfigForm(forms.Form):
    """The way into the cluster."""

    kubeconfig = forms.CharField(
        max_length=100_000,
        strip=False,
        help_text="With everything embedded (kubectl config view --raw --flatten). It is sealed and never shown again.",
        widget=SecretText(attrs={"rows": 12, "autocomplete": "off", "spellcheck": "false"}),
    )


def _pinnable(cluster: Cluster) -> list[tuple[str, object]]:
    chart = cluster.capabilities.get("chart", {})
    return [
        ("Chart", cluster.chart_reference),
        ("Pinned now", cluster.chart_digest or "nothing"),
        ("Found by the last check", chart.get("digest", "nothing: check the cluster first")),
    ]


def _connection(cluster: Cluster) -> list[tuple[str, object]]:
    used = cluster.credentials.filter(retired_at=None).first()
    stored = f"since {used.made_at:%Y-%m-%d %H:%M} UTC by {used.made_by}" if used else "none"
    return [("Address", cluster.endpoint or "none"), ("Credentials in use", stored)]


@admin.register(Cluster)
class ClusterAdmin(ActingAdmin):
    """Where hubs run; clouds differ only in these fields."""

    editor = Permission.OPERATE_HUBS
    list_display = ("slug", "name", "driver", "provider", "region", "capacity", "is_sound", "checked_at", "retired_at")
    list_filter = ("driver", "provider", ("retired_at", admin.EmptyFieldListFilter))
    search_fields = ("slug", "name", "region")
    readonly_fields = ("endpoint", "credentials_in_use", "last_check", "problems", "report")
    fieldsets = (
        (None, {"fields": ("slug", "name", "name_fr", "driver", "provider", "region", "capacity", "retired_at")}),
        ("Way in for people", {"fields": ("hub_address", "ingress_class", "gateway", "ingress_annotations")}),
        ("Where hubs get room", {"fields": ("storage_class", "node_selector", "cost_tags", "settings")}),
        ("Chart", {"fields": ("chart_reference", "chart_version", "chart_digest")}),
        ("Connection", {"fields": ("endpoint", "credentials_in_use", "last_check", "problems", "report")}),
    )
    acts = (
        Act(
            name="credentials",
            label="Store credentials",
            explain="They are sealed under a key of this cluster's own and used from now on; those before are retired.",
            form=KubeconfigForm,
            run=store_credentials,
            states=("open", "retired"),
            permission=Permission.OPERATE_HUBS,
            preview=_connection,
        ),
        Act(
            name="check",
            label="Check",
            explain="The connection is tested and the cluster is asked what it can do; nothing is changed there.",
            form=forms.Form,
            run=want_check,
            states=("open", "retired"),
            permission=Permission.OPERATE_HUBS,
            preview=_connection,
        ),
        Act(
            name="pin",
            label="Pin the chart",
            explain="From now on only the archive with this digest is used for this cluster's hubs.",
            form=forms.Form,
            run=pin_chart,
            states=("open",),
            permission=Permission.OPERATE_HUBS,
            preview=_pinnable,
        ),
    )

    @override
    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """None for this machine, which needs no connection."""
        return super().acts_for(request, row) if row.driver == "kubernetes" else []

    @admin.display(description="sound", boolean=True)
    def is_sound(self, cluster: Cluster) -> bool | None:
        """Whether the last check found nothing in the way; unknown before the first."""
        return None if cluster.checked_at is None else not cluster.check_problems

    @admin.display(description="credentials")
    def credentials_in_use(self, cluster: Cluster) -> str:
        """Since when, and by whom; never what they are."""
        return str(dict(_connection(cluster))["Credentials in use"])

    @admin.display(description="last check")
    def last_check(self, cluster: Cluster) -> str:
        """When it ended, or how far it is."""
        job = Job.objects.filter(kind=CHECK, unique_key__startswith=f"{cluster.pk}:").first()
        if job is not None and job.state in {"queued", "running"}:
            return "It is being made: reload the page in a moment."
        if job is not None and job.state == "needs_operator":
            return f"It could not be made: {job.error}"
        return f"{cluster.checked_at:%Y-%m-%d %H:%M} UTC" if cluster.checked_at else "never"

    @admin.display(description="in the way of hubs")
    def problems(self, cluster: Cluster) -> SafeString | str:
        """Each finding with its remedy."""
        if not cluster.checked_at:
            return "unknown: check the cluster"
        items = format_html_join("", "<li>{}</li>", ((text,) for text in cluster.check_problems))
        return format_html("<ul>{}</ul>", items) if items else "nothing"

    @admin.display(description="what it can do")
    def report(self, cluster: Cluster) -> SafeString | str:
        """The capability report."""
        found = cluster.capabilities
        rows = [(label, _words(found[key])) for key, label in _REPORT if key in found]
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{}: {}</li>", rows)) if rows else "unknown"

    @override
    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Small boxes for small objects."""
        if isinstance(db_field, models.JSONField):
            kwargs["widget"] = forms.Textarea(attrs={"rows": 3})
        return super().formfield_for_dbfield(db_field, request, **kwargs)


def _words(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value)) or "none"
        case dict():
            return " ".join(f"{one}" for one in value.values())
        case _:
            return str(value)
