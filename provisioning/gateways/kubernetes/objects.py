"""The objects that stand around a hub's release: its namespace, its limits, its walls and its secret. Pure."""

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

from provisioning.gateways.kubernetes.api import Json
from provisioning.gateways.kubernetes.paths import HUB_LABEL, core, namespace, namespace_of, network_policy
from provisioning.places import SERVER_ACCOUNT, Place
from provisioning.specs import HubSpec, existing_secret_name

GUARD = "portal-guard"
# What the hub itself, its proxy, its scheduler and its image pullers take beside people's servers.
_OWN_PODS, _OWN_MEMORY_MIB, _OWN_CPU_MILLIS = 30, 6144, 6000
_SPARE_CLAIMS = 10


def namespace_object(spec: HubSpec, place: Place) -> Json:
    """The hub's namespace; pods that could take over a node are refused in it."""
    labels = {**place.cost_tags, **spec.cost_labels, HUB_LABEL: spec.slug}
    labels["pod-security.kubernetes.io/enforce"] = "baseline"
    name = namespace_of(spec.slug)
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def guards(spec: HubSpec) -> dict[str, Json]:
    """By path: quota, limits, a wall against other namespaces, and an account without rights for people's servers."""
    name = namespace_of(spec.slug)
    wall = {"podSelector": {}, "policyTypes": ["Ingress"]}  # the chart's own policies open what a hub needs
    made: dict[str, tuple[str, str, Json]] = {
        core(name, "resourcequotas", GUARD): ("v1", "ResourceQuota", {"spec": {"hard": _quota(spec)}}),
        core(name, "limitranges", GUARD): ("v1", "LimitRange", {"spec": {"limits": [_limits()]}}),
        network_policy(name, GUARD): ("networking.k8s.io/v1", "NetworkPolicy", {"spec": wall}),
        core(name, "serviceaccounts", SERVER_ACCOUNT): (
            "v1", "ServiceAccount", {"automountServiceAccountToken": False},
        ),
    }  # fmt: skip
    return {path: _object(spec, path, *what) for path, what in made.items()}


def secret_object(spec: HubSpec, values: Mapping[str, Any]) -> Json:
    """The hub's own Secret. The hub merges its `values.yaml` over those of the chart; JSON is YAML."""
    content = base64.b64encode(json.dumps(values, sort_keys=True).encode()).decode()
    meta = {"name": existing_secret_name(spec), "labels": {HUB_LABEL: spec.slug}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": {"values.yaml": content}}


def guard_paths(slug: str) -> tuple[str, ...]:
    """Where the guards are, for taking them away again."""
    name = namespace_of(slug)
    return (
        core(name, "resourcequotas", GUARD),
        core(name, "limitranges", GUARD),
        network_policy(name, GUARD),
        core(name, "serviceaccounts", SERVER_ACCOUNT),
        core(name, "secrets", f"{slug}-portal"),
    )


def namespace_path(slug: str) -> str:
    """Where the hub's namespace is."""
    return namespace(namespace_of(slug))


def _object(spec: HubSpec, path: str, version: str, kind: str, content: Json) -> Json:
    meta = {"name": path.rpartition("/")[2], "labels": {HUB_LABEL: spec.slug}}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **content}


def _quota(spec: HubSpec) -> dict[str, str]:
    """Room for every server that the spec allows at once, and for what the hub itself takes; people's claims stay."""
    claims = max(spec.expected_users * 2, spec.max_servers) * (1 + spec.named_servers_per_user) + _SPARE_CLAIMS
    cpu = _OWN_CPU_MILLIS + spec.max_servers * spec.size.cpu_guarantee_millis
    return {
        "pods": str(spec.max_servers + _OWN_PODS),
        "requests.memory": f"{_OWN_MEMORY_MIB + spec.max_servers * spec.size.memory_guarantee_mib}Mi",
        "requests.cpu": str(math.ceil(cpu / 1000)),
        "persistentvolumeclaims": str(claims),
        "services.loadbalancers": "0",
    }


def _limits() -> Json:
    """What a container gets that asks for nothing: a quota on requests refuses it otherwise."""
    return {
        "type": "Container",
        "default": {"memory": "1Gi", "cpu": "1"},
        "defaultRequest": {"memory": "64Mi", "cpu": "10m"},
    }
