"""What runs in a hub's namespace: whether it is ready, why not, and how it is put to sleep."""

from collections.abc import Iterator

from provisioning.gateways.kubernetes.api import ClusterApi, Json
from provisioning.gateways.kubernetes.homes import NAME as CARRIER
from provisioning.gateways.kubernetes.paths import SERVERS, core, namespace_of, workload

_KINDS = ("deployments", "statefulsets")
# What every chart for JupyterHub has; without both nobody can sign in.
ESSENTIAL = ("hub", "proxy")


def unready(api: ClusterApi, slug: str) -> str:
    """Why the hub's own Deployments are not ready; empty when they are."""
    found = {one["metadata"]["name"]: one for one in api.find(workload(namespace_of(slug), "deployments"))}
    for name in ESSENTIAL:
        if name not in found:
            return f"there is no Deployment {name}"
        if not _is_ready(found[name]):
            return _reason(found[name]) or next(_pod_reasons(api, slug), "") or f"{name} starts"
    return ""


def stuck(api: ClusterApi, slug: str) -> str:
    """Why the hub will not get ready by itself, as the cluster says; empty while it may."""
    for one in api.find(workload(namespace_of(slug), "deployments")):
        for condition in one.get("status", {}).get("conditions", []):
            if condition.get("type") == "Progressing" and condition.get("status") == "False":
                return f"{one['metadata']['name']}: {condition.get('reason')}: {condition.get('message', '')}"
    return ""


def put_to_sleep(api: ClusterApi, slug: str) -> None:
    """Scales everything of the hub to none and ends people's servers; claims, secrets and settings stay."""
    name = namespace_of(slug)
    for kind in _KINDS:
        for one in api.find(workload(name, kind)):
            if one.get("spec", {}).get("replicas", 1) != 0:
                api.merge(workload(name, kind, one["metadata"]["name"]), {"spec": {"replicas": 0}})
    end_servers(api, slug)


def end_servers(api: ClusterApi, slug: str) -> None:
    """Ends people's servers, which nothing but the hub itself would end; their homes stay."""
    name = namespace_of(slug)
    for pod in api.find(core(name, "pods"), labels=SERVERS):
        api.delete(core(name, "pods", pod["metadata"]["name"]))


def is_asleep(api: ClusterApi, slug: str) -> bool:
    """Whether no pod is left in the hub's namespace, but those of ours that carry homes while it sleeps."""
    pods = api.find(core(namespace_of(slug), "pods"))
    return all((pod["metadata"].get("labels") or {}).get("component") == CARRIER for pod in pods)


def server_pods(api: ClusterApi, slug: str) -> list[Json]:
    """The pods of people's servers."""
    return api.find(core(namespace_of(slug), "pods"), labels=SERVERS)


def _is_ready(deployment: Json) -> bool:
    meta, status = deployment["metadata"], deployment.get("status", {})
    wanted = deployment.get("spec", {}).get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= meta.get("generation", 0)
    return bool(seen and wanted and status.get("updatedReplicas", 0) >= wanted and _available(status) >= wanted)


def _available(status: Json) -> int:
    return int(status.get("availableReplicas", 0))


def _reason(deployment: Json) -> str:
    """What keeps the cluster from making pods at all, such as a quota."""
    for condition in deployment.get("status", {}).get("conditions", []):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return f"{deployment['metadata']['name']}: {condition.get('message', '')}"[:300]
    return ""


def _pod_reasons(api: ClusterApi, slug: str) -> Iterator[str]:
    """What keeps pods from running: an image that is not there, no node with room, a program that ends."""
    for pod in api.find(core(namespace_of(slug), "pods")):
        name, status = pod["metadata"]["name"], pod.get("status", {})
        for container in status.get("containerStatuses", []):
            if waiting := container.get("state", {}).get("waiting"):
                yield f"{name}: {waiting.get('reason', '')} {waiting.get('message', '')}".strip()[:300]
        for condition in status.get("conditions", []):
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                yield f"{name}: {condition.get('message', '')}"[:300]
