"""Where what runs differs from what was meant: the release's values, and each of its objects as the cluster has it.

Helm calls a release deployed although a Service of it is gone, so each object is asked for. What an apply of the stored
manifest would change is found by a dry run on the server, which knows its own defaults: nothing is guessed here.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

from provisioning.gateways.base import Difference
from provisioning.gateways.kubernetes.api import ClusterApi, Json
from provisioning.gateways.kubernetes.paths import namespace_of
from provisioning.gateways.kubernetes.releases import Release
from provisioning.specs import Values

_MISSING = "(missing)"
_HIDDEN = "•••"
_NAMES_OF_PEOPLE = ("_users", "_groups")
_UNSTABLE = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")
# Kinds that Helm's manifests use; any other is looked up by the rule that plurals end in s.
_PLURALS = {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies", "PriorityClass": "priorityclasses"}
_CLUSTER_WIDE = frozenset({"ClusterRole", "ClusterRoleBinding", "PriorityClass", "Namespace", "StorageClass"})


def value_differences(wanted: Values, found: Values) -> list[Difference]:
    """Where the release was made from other values than the specification's; names of people are dots."""
    return list(_compare("values", _plain(wanted), _plain(found)))


def object_differences(api: ClusterApi, slug: str, release: Release, *, asleep: bool) -> list[Difference]:
    """Where the cluster's objects are not as Helm wrote them; the replicas of a hub that sleeps are none by intent."""
    found: list[Difference] = []
    for body in release.objects:
        name = f"{body['kind']}/{body['metadata']['name']}"
        path = object_path(body, namespace_of(slug))
        live = api.get(path)
        if live is None:
            found.append(Difference(path=name, wanted="(present)", found=_MISSING))
            continue
        after = api.apply(path, _as_helm_writes(body, slug), manager="helm", dry_run=True)
        if asleep and "replicas" in after.get("spec", {}):
            after["spec"]["replicas"] = live.get("spec", {}).get("replicas")
        hidden = body["kind"] == "Secret"
        found += _compare(name, _settled(after), _settled(live), hidden=hidden)
    return found


def object_path(body: Mapping[str, Any], namespace: str) -> str:
    """The path of an object of a manifest."""
    version, kind = str(body["apiVersion"]), str(body["kind"])
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    where = "" if kind in _CLUSTER_WIDE else f"/namespaces/{body['metadata'].get('namespace', namespace)}"
    group = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{group}{where}/{plural}/{body['metadata']['name']}"


def _as_helm_writes(body: Json, slug: str) -> Json:
    """Helm adds whose release an object is; a dry run without it would take that away."""
    written = copy.deepcopy(body)
    meta = written["metadata"]
    owner = {"meta.helm.sh/release-name": slug, "meta.helm.sh/release-namespace": namespace_of(slug)}
    meta["annotations"] = {**(meta.get("annotations") or {}), **owner}
    meta["labels"] = {**(meta.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"}
    if written["kind"] not in _CLUSTER_WIDE:
        meta.setdefault("namespace", namespace_of(slug))
    return written


def _settled(body: Json) -> Json:
    """The object without what the cluster itself keeps counting."""
    kept = {key: value for key, value in body.items() if key != "status"}
    return {**kept, "metadata": {key: value for key, value in body["metadata"].items() if key not in _UNSTABLE}}


def _compare(path: str, wanted: Any, found: Any, *, hidden: bool = False) -> Iterator[Difference]:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key in sorted(wanted.keys() | found.keys()):
            yield from _compare(f"{path}.{key}", wanted.get(key), found.get(key), hidden=hidden)
    elif wanted != found:
        secret = hidden or path.endswith(_NAMES_OF_PEOPLE)
        yield Difference(path=path, wanted=_shown(wanted, hidden=secret), found=_shown(found, hidden=secret))


def _shown(value: Any, *, hidden: bool) -> str:
    if value is None:
        return _MISSING
    return _HIDDEN if hidden else json.dumps(value, sort_keys=True)[:200]


def _plain(values: Values) -> Any:
    """As Helm stored them: through JSON, without nulls."""
    return _without_nulls(json.loads(json.dumps(values)))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value
