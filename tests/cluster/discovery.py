"""What a client asks first: versions, groups, resources, and just enough OpenAPI to leave validation to the server."""

from tests.cluster.resources import RESOURCES, VERBS, ApiError, Json, prefix


def answer(path: str, version: str) -> Json | bytes | None:
    """The answer to a question of discovery; None when the path is about an object."""
    if path in {"/readyz", "/livez", "/healthz"}:
        return b"ok"
    if path == "/version":
        major, minor, _ = version.lstrip("v").split(".")
        return {"major": major, "minor": minor, "gitVersion": version, "platform": "linux/amd64"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(name) for name in RESOURCES if "/" in name],
        }
    if path == "/openapi/v3":
        return {"paths": {prefix(name)[1:]: {"serverRelativeURL": f"/openapi/v3{prefix(name)}"} for name in RESOURCES}}
    if path.startswith("/openapi/v3/"):
        return _schema(path.removeprefix("/openapi/v3/").partition("/")[2], version)
    for name in RESOURCES:
        if path == prefix(name):
            return _resources(name)
    if path.startswith("/apis/") and path.count("/") == 3:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    return None


def _group(group_version: str) -> Json:
    name, version = group_version.split("/")
    both = {"groupVersion": group_version, "version": version}
    return {"name": name, "versions": [both], "preferredVersion": both}


def _resources(group_version: str) -> Json:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": [
            {"name": plural, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind, "verbs": VERBS}
            for plural, (kind, namespaced) in RESOURCES[group_version].items()
        ],
    }


def _schema(group_version: str, version: str) -> Json:
    group, _, plain = group_version.rpartition("/")
    paths = {
        f"{prefix(group_version)}/{'namespaces/{namespace}/' if namespaced else ''}{plural}/{{name}}": {
            "patch": {
                "parameters": [
                    {"name": name, "in": "query", "schema": {"type": "string"}}
                    for name in ("fieldValidation", "dryRun")
                ],
                "x-kubernetes-group-version-kind": {"group": group, "version": plain, "kind": kind},
                "responses": {},
            }
        }
        for plural, (kind, namespaced) in RESOURCES.get(group_version, {}).items()
    }
    return {"openapi": "3.0.0", "info": {"title": "memory", "version": version}, "paths": paths}
