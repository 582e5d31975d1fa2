"""Homes of a hub on a cluster: a Job beside each volume claim serves it to the portal, through the cluster's own API.

Nothing else is needed there, no bucket and no way in: the program is the portal's (provisioning/gateways/carrier.py),
it runs in the hub's own image, and the API server leads the portal to its pod.
"""

import hashlib
import re
import secrets as randomness
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final

from consortium.kernel.crash import crash_point
from provisioning.gateways import carrier
from provisioning.gateways.base import GatewayError
from provisioning.gateways.carrier import PORT, TOKEN_HEADER, Sums
from provisioning.gateways.carrying import Home
from provisioning.gateways.kubernetes.api import ClusterApi, ClusterUnavailableError, Json
from provisioning.gateways.kubernetes.paths import HUB_LABEL, core, job, namespace_of, network_policy
from provisioning.gateways.kubernetes.quantities import quantity
from provisioning.places import SERVER_ACCOUNT, Place
from provisioning.specs import CHECK_USER, HubSpec

NAME: Final = "portal-carrier"
CARRIERS: Final = f"component={NAME}"
_CLAIM: Final = "claim-"
_USER, _SERVER = "hub.jupyter.org/username", "hub.jupyter.org/servername"
_FOLDER = "/home/carried"
_HOURS = 6
# As the chart's own servers run, so that what is written belongs to them.
_PERSON = {"runAsUser": 1000, "runAsGroup": 100, "fsGroup": 100, "runAsNonRoot": True}
_SAFE = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


class CarrierNotReadyError(GatewayError):
    """The pod that serves a home does not answer yet."""

    def __init__(self, job_name: str, reason: str) -> None:
        super().__init__(
            f"the Job {job_name} does not serve its volume yet: {reason or 'its pod starts'}", permanent=False
        )


def homes_of(api: ClusterApi, slug: str) -> list[Home]:
    """The claims of people's homes, the synthetic user's left out."""
    found = [_home(one) for one in api.find(core(namespace_of(slug), "persistentvolumeclaims")) if _is_home(one)]
    return sorted((home for home in found if home.user != CHECK_USER), key=lambda home: home.key)


def claim_of(home: Home) -> str:
    """The claim that the hub will look for when the person starts a server."""
    if home.claim:
        return home.claim
    is_safe = _SAFE.fullmatch(home.user) and "--" not in home.user
    return f"{_CLAIM}{home.user if is_safe else _hashed(home.user)}"


def make_claim(api: ClusterApi, spec: HubSpec, place: Place, home: Home) -> None:
    """Makes the claim as the hub itself would, unless it is there; a volume that was larger stays as large."""
    labels = {"app": "jupyterhub", "component": "singleuser-storage", "hub": spec.slug}
    size = max(spec.storage_per_user_gib, home.size_gib)
    body: Json = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": claim_of(home), "labels": labels, "annotations": {_USER: home.user, _SERVER: home.server},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{size}Gi"}},
            **({"storageClassName": place.storage_class} if place.storage_class else {}),
        },
    }  # fmt: skip
    all_claims = core(namespace_of(spec.slug), "persistentvolumeclaims")
    path = f"{all_claims}/{claim_of(home)}"
    if api.get(path) is None and not api.create(all_claims, body) and api.get(path) is None:
        raise ClusterUnavailableError(f"POST {all_claims}", "it says that the claim is there, and it is not")
    crash_point("kubernetes.claim_made")


class CarrierPod:
    """The pod that serves one claim, made when it is not there; `wait` seconds may pass until it answers."""

    def __init__(self, api: ClusterApi, streams: ClusterApi, spec: HubSpec, claim: str) -> None:
        self._api, self._streams, self._spec, self._claim = api, streams, spec, claim
        self._namespace = namespace_of(spec.slug)
        self._job = f"portal-carry-{hashlib.sha256(claim.encode()).hexdigest()[:10]}"
        self._headers: dict[str, str] = {}

    def read(self, into: Path) -> Sums:
        """Writes the home's archive into the file; returns the sums of the home."""
        base = self._serving()
        with into.open("wb") as file:
            self._streams.download(f"{base}/home", file, headers=self._headers)
        return self._sums(base)

    def write(self, archive: Path) -> Sums:
        """Puts the archive in place of the home; returns the sums of what then lies there."""
        base = self._serving()
        with archive.open("rb") as file:
            answer = self._streams.upload(f"{base}/home", file, headers=self._headers)
        return {str(name): str(found) for name, found in answer.items()}

    def end(self) -> None:
        """Takes the pod away; the home stays."""
        self._api.delete(job(self._namespace, self._job))
        for pod in self._pods():
            self._api.delete(core(self._namespace, "pods", pod["metadata"]["name"]))
        crash_point("kubernetes.carrier_ended")

    def _serving(self) -> str:
        """The path that leads to the pod. Raises CarrierNotReadyError when it is not there in time."""
        token = _prepare(self._api, self._spec.slug)
        self._headers = {TOKEN_HEADER: token}
        attempt, reason = 0, ""
        while True:
            self._make_job()
            for pod in self._pods():
                status = pod.get("status", {})
                reason = f"{status.get('phase', '')} {_waits_for(status)}".strip()
                if status.get("phase") == "Running":
                    base = f"{core(self._namespace, 'pods', pod['metadata']['name'])}:{PORT}/proxy"
                    self._api.wait_for_pod(f"{base}/ready", headers=self._headers)
                    return base
            if not self._api.patience.pause(min(attempt, 3)):
                raise CarrierNotReadyError(self._job, reason)
            attempt += 1

    def _make_job(self) -> None:
        """Makes the Job unless it is there; it may also have run out of time meanwhile."""
        if self._api.get(job(self._namespace, self._job)) is None:
            self._api.create(job(self._namespace), _job(self._spec, self._job, self._claim))
            crash_point("kubernetes.carrier_made")

    def _sums(self, base: str) -> Sums:
        answer = self._streams.ask_pod(f"{base}/sums", headers=self._headers)
        return {str(name): str(found) for name, found in answer.items()}

    def _pods(self) -> list[Json]:
        return self._api.find(core(self._namespace, "pods"), labels=f"job-name={self._job}")


def sweep_carriers(api: ClusterApi, slug: str) -> None:
    """Takes away all that served only to carry homes."""
    name = namespace_of(slug)
    for one in api.find(job(name), labels=CARRIERS):
        api.delete(job(name, one["metadata"]["name"]))
    for one in api.find(core(name, "pods"), labels=CARRIERS):
        api.delete(core(name, "pods", one["metadata"]["name"]))
    # The secret first: whoever finds it takes the rest for made.
    for path in (core(name, "secrets", NAME), core(name, "configmaps", NAME), network_policy(name, NAME)):
        api.delete(path)


def _prepare(api: ClusterApi, slug: str) -> str:
    """The program, its token and the way to it, made when they are missing; returns the token."""
    name = namespace_of(slug)
    meta = {"name": NAME, "labels": {HUB_LABEL: slug}}
    stored = api.get(core(name, "secrets", NAME))
    if stored is not None:
        return b64decode(stored["data"]["token"]).decode()
    program = Path(carrier.__file__).read_text(encoding="utf-8")
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"carrier.py": program}}
    api.apply(core(name, "configmaps", NAME), config)
    rule = {
        "podSelector": {"matchLabels": {"component": NAME}},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": PORT}]}],
    }
    wall = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": rule}
    api.apply(network_policy(name, NAME), wall)
    token = randomness.token_urlsafe(32)
    # Last, because who finds it takes the rest for made.
    kept = {"token": b64encode(token.encode()).decode()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": kept}
    api.apply(core(name, "secrets", NAME), body)
    crash_point("kubernetes.carrier_prepared")
    return token


def _job(spec: HubSpec, name: str, claim: str) -> Json:
    labels = {"component": NAME, HUB_LABEL: spec.slug, "hub": spec.slug}
    container = {
        "name": "carrier",
        "image": spec.image,
        "command": ["python3", "/portal/carrier.py"],
        "env": [
            {"name": "HOME_FOLDER", "value": _FOLDER},
            {"name": "CARRIER_TOKEN", "valueFrom": {"secretKeyRef": {"name": NAME, "key": "token"}}},
        ],
        "ports": [{"containerPort": PORT}],
        "resources": {
            "requests": {"memory": "64Mi", "cpu": "50m"},
            "limits": {"memory": "512Mi", "cpu": "1"},
        },
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "home", "mountPath": _FOLDER},
            {"name": "program", "mountPath": "/portal", "readOnly": True},
        ],
    }
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": SERVER_ACCOUNT,
        "automountServiceAccountToken": False,
        "securityContext": {**_PERSON, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [
            {"name": "home", "persistentVolumeClaim": {"claimName": claim}},
            {"name": "program", "configMap": {"name": NAME}},
        ],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": _HOURS * 3600,
            "ttlSecondsAfterFinished": 60,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _is_home(claim: Json) -> bool:
    return str(claim["metadata"]["name"]).startswith(_CLAIM)


def _home(claim: Json) -> Home:
    meta = claim["metadata"]
    notes = meta.get("annotations") or {}
    size = quantity(str(claim.get("spec", {}).get("resources", {}).get("requests", {}).get("storage", "0")))
    return Home(
        user=str(notes.get(_USER) or meta["name"].removeprefix(_CLAIM)),
        server=str(notes.get(_SERVER) or ""),
        claim=str(meta["name"]),
        size_gib=-(-int(size or 0) // 2**30),
    )


def _hashed(user: str) -> str:
    """KubeSpawner's safe name of a person whose name is none: what can stay of it, and eight digits of its hash."""
    kept = re.sub(r"[^a-z0-9]+", "-", user.lower()).lstrip("-")[:21].rstrip("-") or "x"
    kept = kept if kept[0].isalpha() else f"x-{kept[:19]}"
    return f"{kept}---{hashlib.sha256(user.encode()).hexdigest()[:8]}"


def _waits_for(status: Json) -> str:
    for container in status.get("containerStatuses", []):
        if waiting := container.get("state", {}).get("waiting"):
            return f"{waiting.get('reason', '')} {waiting.get('message', '')}".strip()[:200]
    for condition in status.get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("message", ""))[:200]
    return ""
