"""The connection test of a cluster and what it can do: asked of the cluster itself, without changing anything there."""

from decimal import Decimal
from typing import Any

from provisioning.gateways.base import GatewayError
from provisioning.gateways.kubernetes.access import ClusterAccess
from provisioning.gateways.kubernetes.api import ClusterApi, ClusterRefusedError, Json
from provisioning.gateways.kubernetes.chart import ChartReference, Charts, archive_digest
from provisioning.gateways.kubernetes.patience import Patience
from provisioning.gateways.kubernetes.quantities import quantity
from provisioning.places import Place, values_on
from provisioning.specs import HubSpec, LocalSignOn

OLDEST = (1, 28)
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
# What the driver does, each with its group, for the question whether it may.
RIGHTS = (
    ("create", "", "namespaces"), ("delete", "", "namespaces"), ("patch", "", "resourcequotas"),
    ("patch", "", "limitranges"), ("patch", "", "serviceaccounts"), ("patch", "", "secrets"), ("list", "", "secrets"),
    ("create", "", "configmaps"), ("update", "", "configmaps"), ("list", "", "pods"), ("delete", "", "pods"),
    ("list", "", "persistentvolumeclaims"), ("patch", "apps", "deployments"), ("list", "apps", "deployments"),
    ("list", "apps", "statefulsets"), ("patch", "networking.k8s.io", "networkpolicies"),
    ("create", "batch", "jobs"), ("delete", "batch", "jobs"), ("get", "", "pods/proxy"), ("update", "", "pods/proxy"),
    ("create", "", "persistentvolumeclaims"), ("create", "snapshot.storage.k8s.io", "volumesnapshots"),
    ("patch", "snapshot.storage.k8s.io", "volumesnapshotcontents"),
    ("patch", "rbac.authorization.k8s.io", "roles"), ("patch", "rbac.authorization.k8s.io", "rolebindings"),
)  # fmt: skip

# A hub of no university: only to ask the chart whether it takes what the portal writes.
_EXAMPLE = HubSpec(
    slug="example",
    display_name="Example",
    image="registry.example/notebook:1",
    sign_on=LocalSignOn(allowed_users=frozenset({"somebody"})),
)


def examine(
    access: ClusterAccess, *, place: Place, chart: ChartReference, charts: Charts, seconds: float = 30.0
) -> tuple[Json, list[str]]:
    """What the cluster can do, and what stands in the way of hubs, each with its remedy. A cluster is no error."""
    report: Json = {}
    problems: list[str] = []
    with ClusterApi(access, Patience(seconds)) as api:
        try:
            report["version"] = str((api.get("/version") or {}).get("gitVersion", ""))
        except GatewayError as error:
            return report, [error.message]
        problems += _old(report["version"])
        for part in (_groups, _nodes, _classes, _rights):
            try:
                found, said = part(api, place)
            except ClusterRefusedError as error:
                found, said = {}, [error.message] if error.status == 401 else []
            except GatewayError as error:
                found, said = {}, [error.message]
            report.update(found)
            problems += said
    found, said = _chart(chart, charts, place)
    return {**report, **found}, problems + said


def _old(version: str) -> list[str]:
    numbers = [int(word) for word in version.lstrip("v").split(".")[:2] if word.isdecimal()]
    if tuple(numbers) >= OLDEST:
        return []
    return [f"Kubernetes {version or '(unknown)'} is too old: update the cluster to 1.28 or newer."]


def _groups(api: ClusterApi, place: Place) -> tuple[Json, list[str]]:
    names = {str(group.get("name")) for group in (api.get("/apis") or {}).get("groups", [])}
    has = {
        "gateway_api": "gateway.networking.k8s.io" in names,
        "volume_snapshots": "snapshot.storage.k8s.io" in names,
        "metrics": "metrics.k8s.io" in names,
    }
    if place.gateway is not None and not has["gateway_api"]:
        return has, ["It has no Gateway API: install it, or name an ingress class in place of the gateway."]
    return has, []


def _nodes(api: ClusterApi, _place: Place) -> tuple[Json, list[str]]:
    nodes = api.find("/api/v1/nodes")
    room = [node.get("status", {}).get("allocatable", {}) for node in nodes]
    memory = sum((quantity(str(one.get("memory", "0"))) or Decimal(0) for one in room), Decimal(0))
    cpu = sum((quantity(str(one.get("cpu", "0"))) or Decimal(0) for one in room), Decimal(0))
    gpus = sum(int(str(one.get("nvidia.com/gpu", "0"))) for one in room)
    found = {"nodes": len(nodes), "memory_gib": int(memory / 2**30), "cpu": str(cpu.normalize()), "gpus": gpus}
    return found, [] if nodes else ["It has no nodes yet: hubs will wait until it has."]


def _classes(api: ClusterApi, place: Place) -> tuple[Json, list[str]]:
    storage = api.find("/apis/storage.k8s.io/v1/storageclasses")
    names = sorted(one["metadata"]["name"] for one in storage)
    default = [
        one["metadata"]["name"]
        for one in storage
        if (one["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
    ]
    ingress = sorted(one["metadata"]["name"] for one in api.find("/apis/networking.k8s.io/v1/ingressclasses"))
    problems = []
    if place.storage_class and place.storage_class not in names:
        problems.append(_unknown("storage class", place.storage_class, names))
    if not place.storage_class and not default:
        problems.append(f"It has no default storage class: choose one of {_listed(names)}.")
    if place.ingress_class and place.ingress_class not in ingress:
        problems.append(_unknown("ingress class", place.ingress_class, ingress))
    if not (place.ingress_class or place.gateway):
        problems.append("Nothing leads to its hubs from outside: name an ingress class or a gateway.")
    return {
        "storage_classes": names,
        "default_storage_class": "".join(default[:1]),
        "ingress_classes": ingress,
    }, problems


def _rights(api: ClusterApi, _place: Place) -> tuple[Json, list[str]]:
    missing = [f"{verb} {plural}" for verb, group, plural in RIGHTS if not _may(api, verb, group, plural)]
    text = "The portal's account lacks rights: " + ", ".join(missing) + ". Bind it a role that has them."
    return {"rights_missing": missing}, [text] if missing else []


def _may(api: ClusterApi, verb: str, group: str, plural: str) -> bool:
    resource, _slash, part = plural.partition("/")
    about = {"verb": verb, "group": group, "resource": resource, **({"subresource": part} if part else {})}
    asked: dict[str, Any] = {"resourceAttributes": about}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": asked}
    return bool(api.ask(_REVIEWS, review).get("status", {}).get("allowed"))


def _chart(wanted: ChartReference, charts: Charts, place: Place) -> tuple[Json, list[str]]:
    """The chart with the digest that may be pinned, and whether it takes the portal's values."""
    found: Json = {}
    try:
        if "://" in wanted.reference and not wanted.digest:
            found = {"chart": {"name": wanted.reference, "digest": charts.digest_of_remote(wanted)}}
            return found, ["The chart comes from elsewhere and its digest is not pinned: pin what was found."]
        chart = charts.find(wanted)
        found = {"chart": {"name": chart.name, "version": chart.version, "digest": archive_digest(chart.path)}}
        chart.check(values_on(_EXAMPLE, place))
    except GatewayError as error:
        return found, [error.message]
    return found, []


def _unknown(what: str, name: str, known: list[str]) -> str:
    return f"It has no {what} {name}: it has {_listed(known)}."


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"
