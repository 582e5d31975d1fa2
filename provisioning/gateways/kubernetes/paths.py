"""Names and places of all that belongs to a hub: they follow from its slug, so that nothing need be remembered."""

PORTAL_NAMESPACE = "consortium-portal"
HUB_LABEL = "portal-hub"
SERVERS = "component=singleuser-server"


def namespace_of(slug: str) -> str:
    """A namespace of the hub's own."""
    return f"hub-{slug}"


def namespace(name: str) -> str:
    """The path of a namespace."""
    return f"/api/v1/namespaces/{name}"


def core(namespace_name: str, plural: str, name: str = "") -> str:
    """The path of an object of the core group, or of all of them."""
    return f"/api/v1/namespaces/{namespace_name}/{plural}" + (f"/{name}" if name else "")


def workload(namespace_name: str, plural: str, name: str = "") -> str:
    """The path of a Deployment or StatefulSet."""
    return f"/apis/apps/v1/namespaces/{namespace_name}/{plural}" + (f"/{name}" if name else "")


def job(namespace_name: str, name: str = "") -> str:
    """The path of a Job, or of all of them."""
    return f"/apis/batch/v1/namespaces/{namespace_name}/jobs" + (f"/{name}" if name else "")


def network_policy(namespace_name: str, name: str) -> str:
    """The path of a network policy."""
    return f"/apis/networking.k8s.io/v1/namespaces/{namespace_name}/networkpolicies/{name}"
