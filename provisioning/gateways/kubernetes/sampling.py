"""Who works on a hub now, by the hub's own word, and what each server is guaranteed, by its pod."""

from decimal import Decimal

from provisioning.gateways.base import ServerSample
from provisioning.gateways.jupyterhub.client import HubClient
from provisioning.gateways.kubernetes.api import ClusterApi, Json
from provisioning.gateways.kubernetes.paths import core, namespace_of
from provisioning.gateways.kubernetes.quantities import quantity
from provisioning.gateways.kubernetes.record import HubRecord
from provisioning.gateways.kubernetes.secret_store import portal_token
from provisioning.gateways.kubernetes.workloads import server_pods

# The label of that name is a hash; only the annotation has the name itself.
_USER = "hub.jupyter.org/username"
_SERVER = "hub.jupyter.org/servername"
_HOMES = "component=singleuser-storage"
_MIB = 1024 * 1024


def servers_of(api: ClusterApi, record: HubRecord, url: str) -> list[ServerSample]:
    """Every active server once. A server whose pod is not seen counts with what the spec guarantees."""
    spec = record.spec
    assert spec is not None  # noqa: S101 - a hub that runs has one
    with HubClient(url, portal_token(api, spec.slug)) as client:
        servers = client.active_servers()
    pods = {_owner(pod): _guaranteed(pod) for pod in server_pods(api, spec.slug)} if servers else {}
    usual = (spec.size.memory_guarantee_mib * _MIB, Decimal(spec.size.cpu_guarantee_millis) / 1000, 0)
    samples = []
    for server in servers:
        memory, cpu, gpus = pods.get((server.user_name, server.server_name)) or usual
        samples.append(
            ServerSample(
                user_name=server.user_name,
                server_name=server.server_name,
                started=server.started,
                ready=server.ready,
                last_activity=server.last_activity,
                memory_bytes=memory,
                cpu=cpu,
                gpus=gpus,
            )
        )
    return samples


def _owner(pod: Json) -> tuple[str, str]:
    notes = pod["metadata"].get("annotations", {})
    return str(notes.get(_USER, "")), str(notes.get(_SERVER, ""))


def claimed_bytes(api: ClusterApi, slug: str) -> int:
    """The room that is set aside for people's homes: the claims of the spawner, whatever is written in them."""
    claims = api.find(core(namespace_of(slug), "persistentvolumeclaims"), labels=_HOMES)
    asked = (claim.get("spec", {}).get("resources", {}).get("requests", {}).get("storage", "0") for claim in claims)
    return int(sum((quantity(str(each)) or Decimal(0) for each in asked), Decimal(0)))


def _guaranteed(pod: Json) -> tuple[int, Decimal, int] | None:
    """What the server's own container, the first one, asks of its node; GPUs stand under their vendors' names."""
    containers = pod.get("spec", {}).get("containers", [])
    resources = containers[0].get("resources", {}) if containers else {}
    # A GPU may be asked for as a limit alone, which is then its request too.
    requests = {**resources.get("limits", {}), **resources.get("requests", {})}
    memory, cpu = quantity(str(requests.get("memory", ""))), quantity(str(requests.get("cpu", "0")))
    gpus = sum(int(quantity(str(count)) or 0) for name, count in requests.items() if name.endswith("/gpu"))
    return None if memory is None or cpu is None else (int(memory), cpu, gpus)
