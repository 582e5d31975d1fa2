"""The kinds of objects that the cluster knows."""

from dataclasses import dataclass
from typing import Any

type Json = dict[str, Any]

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]

# group/version -> plural -> (kind, whether it lives in a namespace)
RESOURCES: dict[str, dict[str, tuple[str, bool]]] = {
    "v1": {
        "configmaps": ("ConfigMap", True),
        "events": ("Event", True),
        "limitranges": ("LimitRange", True),
        "namespaces": ("Namespace", False),
        "nodes": ("Node", False),
        "persistentvolumeclaims": ("PersistentVolumeClaim", True),
        "pods": ("Pod", True),
        "resourcequotas": ("ResourceQuota", True),
        "secrets": ("Secret", True),
        "serviceaccounts": ("ServiceAccount", True),
        "services": ("Service", True),
    },
    "apps/v1": {
        "daemonsets": ("DaemonSet", True),
        "deployments": ("Deployment", True),
        "statefulsets": ("StatefulSet", True),
    },
    "batch/v1": {"jobs": ("Job", True)},
    "networking.k8s.io/v1": {
        "ingresses": ("Ingress", True),
        "ingressclasses": ("IngressClass", False),
        "networkpolicies": ("NetworkPolicy", True),
    },
    "policy/v1": {"poddisruptionbudgets": ("PodDisruptionBudget", True)},
    "rbac.authorization.k8s.io/v1": {
        "clusterrolebindings": ("ClusterRoleBinding", False),
        "clusterroles": ("ClusterRole", False),
        "rolebindings": ("RoleBinding", True),
        "roles": ("Role", True),
    },
    "snapshot.storage.k8s.io/v1": {
        "volumesnapshotclasses": ("VolumeSnapshotClass", False),
        "volumesnapshotcontents": ("VolumeSnapshotContent", False),
        "volumesnapshots": ("VolumeSnapshot", True),
    },
    "storage.k8s.io/v1": {"storageclasses": ("StorageClass", False)},
}


@dataclass(frozen=True, order=True)
class Key:
    """Where an object is kept; `namespace` is empty for what belongs to the cluster."""

    group_version: str
    plural: str
    namespace: str
    name: str


class ApiError(Exception):
    """An answer of the API that is not the object."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "reason": reason,
            "code": code,
            "message": message,
            "details": details or {},
        }


def not_found(key: Key) -> ApiError:
    group = key.group_version.split("/")[0] if "/" in key.group_version else ""
    details = {"name": key.name, "kind": key.plural, "group": group}
    return ApiError(404, "NotFound", f'{key.plural} "{key.name}" not found', details)


def prefix(group_version: str) -> str:
    return ("/apis/" if "/" in group_version else "/api/") + group_version
