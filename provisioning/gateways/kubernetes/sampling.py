"""Who works on a hub now, by the hub's own word, and what each server is guaranteed, by its pod."""

from decimal import Decimal

from provisioning.gateways.base import ServerSample
from provisioning.gateways.jupyterhub.client import HubClient
from provisioning.gateways.kubernetes.api import ClusterApi, Json
from provisioning.gateways.kubernetes.quantities import quantity
from provisioning.gateways.kubernetes.record import HubRecord
from provisioning.gateways.kubernetes.secret_store import portal_token
from provisioning.gateways.kubernetes.workloads import server_pods

# The label of that name is a hash; only the annotation has the name itself.
_USER = "hub.jupyter.org/username"
_SERVER = "hub.jupyter.org/servername"
_MIB = 1024 * 1024


def servers_of(api: ClusterApi, record: HubRecord, url: str) -> list[ServerSample]:
    """Every active server once. A server whose pod is not seen counts with what the spec guarantees."""
    spec = record.spec
    assert spec is not None  # noqa: S101 - a hub that runs has one
    with HubClient(url, portal_token(api, spec.slug)) as client:
        servers = client.active_servers()
    pods = {_owner(pod): _guaranteed(pod) for pod in server_pods(api, spec.slug)} if servers else {}
    usual = (spec.size.memory_guarantee_mib * _MIB, Decimal(spec.size.cpu_guarantee_millis) / 1000)
    samples = []
    for server in servers:
        memory, cpu = pods.get((server.user_name, server.server_name)) or usual
        samples.append(
            ServerSample(
                user_name=server.user_name,
                server_name=server.server_name,
                started=server.started,
                ready=server.ready,
                last_activity=server.last_activity,
                memory_bytes=memory,
                cpu=cpu,
            )
        )
    return samples


def _owner(pod: Json) -> tuple[str, str]:
    notes = pod["metadata"].get("annotations", {})
    return str(notes.get(_USER, "")), str(notes.get(_SERVER, ""))


def _guaranteed(pod: Json) -> tuple[int, Decimal] | None:
    """What the server's own container, the first one, asks of its node."""
    containers = pod.get("spec", {}).get("containers", [])
    requests = containers[0].get("resources", {}).get("requests", {}) if containers else {}
    memory, cpu = quantity(str(requests.get("memory", ""))), quantity(str(requests.get("cpu", "0")))
    return None if memory is None or cpu is None else (int(memory), cpu)
