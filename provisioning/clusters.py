"""Clusters of the admin site as drivers need them: the way in, the place hubs get there, the chart they are made of."""

from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from pydantic import ValidationError

from consortium.kernel import audit
from consortium.kernel.envelopes import Envelope, open_envelope, rewrapped, seal_in_envelope
from consortium.kernel.errors import Invalid, PortalError
from members.models import User
from members.permissions import Permission, check_staff
from provisioning.cluster_models import Cluster, ClusterCredential
from provisioning.gateways.kubernetes.access import ClusterAccess, KubeconfigError
from provisioning.gateways.kubernetes.chart import ChartReference
from provisioning.gateways.kubernetes.driver import KubernetesDriver, Limits
from provisioning.places import Gateway, Place

# One call waits for a hub this long; the job repeats it, so that it can show a sign of life in between.
ACT_SECONDS = 10.0

# Which field of the admin site a field of the place is written in.
_FIELDS = {
    "hub_address",
    "ingress_class",
    "gateway",
    "ingress_annotations",
    "storage_class",
    "node_selector",
    "cost_tags",
}


class KubeconfigRefused(Invalid):
    """The pasted text gives no safe way into a cluster."""

    code = "kubeconfig_refused"


class NoCredentials(PortalError):
    """Nobody has stored a way into the cluster."""

    code = "cluster_without_credentials"


class ClusterIncomplete(PortalError):
    """The cluster's page lacks what a hub needs, or says something that cannot be."""

    code = "cluster_incomplete"


class NothingToPin(PortalError):
    """The last check did not find an archive of the chart."""

    code = "nothing_to_pin"


@transaction.atomic
def store_credentials(cluster: Cluster, *, kubeconfig: str, by: User, at: datetime) -> ClusterCredential:
    """Will seal the way into a cluster; the one before is retired in the same moment, so that work is never without.

    Raises Forbidden, KubeconfigRefused (which repeats nothing of the text).
    """
    check_staff(by, Permission.OPERATE_HUBS)
    try:
        access = ClusterAccess.from_kubeconfig(kubeconfig)
    except KubeconfigError as error:
        raise KubeconfigRefused(error.message, field="kubeconfig") from None
    envelope = seal_in_envelope(access.secret_json(), owner=_owner(cluster))
    cluster.credentials.filter(retired_at=None).update(retired_at=at)
    stored = ClusterCredential.objects.create(
        cluster=cluster, wrapped_key=envelope.wrapped_key, sealed=envelope.sealed, made_by=by, made_at=at
    )
    Cluster.objects.filter(pk=cluster.pk).update(endpoint=access.server)
    cluster.endpoint = access.server
    audit.record(
        "provisioning.cluster_credentials_stored",
        cluster,
        by=by,
        at=at,
        institution_id=None,
        after={"credential": str(stored.pk)},
    )
    return stored


@transaction.atomic
def rewrap_credentials(*, by: audit.System, at: datetime) -> int:
    """Will wrap every data key in use with the newest of FIELD_KEYS and return how many; the old key may then go.

    Work goes on meanwhile: what is stored opens before and after. Raises SecretUnreadable, and then changes none.
    """
    rows = list(ClusterCredential.objects.select_for_update().filter(retired_at=None).select_related("cluster"))
    for row in rows:
        fresh = rewrapped(Envelope(row.wrapped_key, row.sealed), owner=_owner(row.cluster))
        ClusterCredential.objects.filter(pk=row.pk).update(wrapped_key=fresh.wrapped_key)
        audit.record("provisioning.cluster_key_rewrapped", row.cluster, by=by, at=at, institution_id=None)
    return len(rows)


@transaction.atomic
def pin_chart(cluster: Cluster, *, by: User, at: datetime) -> None:
    """Will pin the digest that the last check found, so that no other archive is ever used. Raises NothingToPin."""
    check_staff(by, Permission.OPERATE_HUBS)
    digest = str(cluster.capabilities.get("chart", {}).get("digest", ""))
    if not digest:
        raise NothingToPin(_("The last check found no chart. Check the cluster again and read what it says."))
    before, cluster.chart_digest = cluster.chart_digest, digest
    cluster.save(update_fields=["chart_digest"])
    audit.record(
        "provisioning.cluster_chart_pinned",
        cluster,
        by=by,
        at=at,
        institution_id=None,
        before={"digest": before},
        after={"digest": digest},
    )


def access_of(cluster: Cluster) -> ClusterAccess:
    """Will open the way into the cluster. Raises NoCredentials, SecretUnreadable."""
    row = cluster.credentials.filter(retired_at=None).first()
    if row is None:
        text = _("The cluster %(name)s has no credentials. Store a kubeconfig on its page.")
        raise NoCredentials(text % {"name": cluster.name})
    content = open_envelope(Envelope(row.wrapped_key, row.sealed), owner=_owner(cluster))
    return ClusterAccess.model_validate_json(content)


def chart_of(cluster: Cluster) -> ChartReference:
    """Will name the chart of the cluster's hubs."""
    return ChartReference(reference=cluster.chart_reference, version=cluster.chart_version, digest=cluster.chart_digest)


def place_of(cluster: Cluster) -> Place:
    """Will return what the cluster adds to a hub's values. Raises ClusterIncomplete with the first problem."""
    if found := problems_of(cluster):
        field, text = next(iter(found.items()))
        raise ClusterIncomplete(
            _("The page of the cluster %(name)s is not complete. %(field)s: %(text)s")
            % {"name": cluster.name, "field": field, "text": text}
        )
    return _place(cluster)


def problems_of(cluster: Cluster) -> dict[str, str]:
    """Will say by field what keeps hubs from a Kubernetes cluster; nothing for another kind."""
    if cluster.driver != "kubernetes":
        return {}
    found: dict[str, str] = {}
    if not cluster.chart_reference:
        found["chart_reference"] = _("Name the chart that hubs are made of.")
    if not cluster.hub_address:
        return {**found, "hub_address": _("Say where its hubs answer, with {slug} in the address.")}
    if cluster.ingress_class and cluster.gateway:
        return {**found, "gateway": _("Name an ingress class or a gateway, not both.")}
    if cluster.gateway and cluster.gateway.count("/") != 1:
        return {**found, "gateway": _("Write the gateway as namespace/name.")}
    try:
        _place(cluster)
    except ValidationError as error:
        for each in error.errors():
            first = str(each["loc"][0]) if each["loc"] else "hub_address"
            found.setdefault(
                first if first in _FIELDS else "hub_address", str(each["msg"]).removeprefix("Value error, ")
            )
    return found


def kubernetes_driver(cluster: Cluster) -> KubernetesDriver:
    """Will return the driver of a Kubernetes cluster. Raises NoCredentials, SecretUnreadable, ClusterIncomplete."""
    return KubernetesDriver(
        access_of(cluster),
        place=place_of(cluster),
        chart=chart_of(cluster),
        helm=settings.HELM,
        charts=charts_folder(),
        limits=Limits(act=ACT_SECONDS),
    )


def charts_folder() -> Path:
    """Where charts from elsewhere are kept, each under its digest."""
    return Path(settings.PORTAL_HOME) / "charts"


def _place(cluster: Cluster) -> Place:
    namespace, _slash, name = cluster.gateway.partition("/")
    return Place(
        hub_address=cluster.hub_address,
        ingress_class=cluster.ingress_class or None,
        gateway=Gateway(namespace=namespace, name=name) if cluster.gateway else None,
        ingress_annotations=cluster.ingress_annotations,
        storage_class=cluster.storage_class or None,
        node_selector=cluster.node_selector,
        cost_tags=cluster.cost_tags,
    )


def _owner(cluster: Cluster) -> str:
    return f"cluster:{cluster.pk}"
