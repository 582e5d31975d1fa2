"""Where on a cluster a hub stands: what differs between clouds, as data, and the chart values that come of it.

Pure, like provisioning/specs.py, whose values it completes.
"""

import ipaddress
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from provisioning.specs import HubSpec, LabelValue, Part, Values, WebAddress, render_values

# The account under which people's servers run: it may do nothing at all on the cluster.
SERVER_ACCOUNT = "portal-servers"
# The hub's database outlives its release; only the end of the namespace takes it away.
KEEP = {"helm.sh/resource-policy": "keep"}

type LabelKey = Annotated[str, StringConstraints(pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
type ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


class Gateway(Part):
    """A Gateway of the Gateway API that hubs attach their routes to."""

    name: ObjectName
    namespace: ObjectName


class Place(Part):
    """What a cluster adds to a hub's spec. `hub_address` says where hubs without a domain answer, with `{slug}` in it.

    Neither `ingress_class` nor `gateway`: nothing leads to the hub from outside but what the cluster's operators make.
    """

    hub_address: WebAddress
    ingress_class: ObjectName | None = None
    gateway: Gateway | None = None
    ingress_annotations: dict[LabelKey, str] = {}
    storage_class: ObjectName | None = None
    node_selector: dict[LabelKey, LabelValue] = {}
    cost_tags: dict[LabelKey, LabelValue] = Field(default={})

    @model_validator(mode="after")
    def _is_of_one_hub(self) -> Self:
        if "{slug}" not in self.hub_address:
            raise ValueError("the address of hubs needs {slug} in it, or all hubs would answer at one address")
        if not self.hub_address.endswith("/"):
            raise ValueError("the address of hubs must end with a slash")
        if self.ingress_class and self.gateway:
            raise ValueError("name an ingress class or a gateway, not both")
        return self


def url_of(spec: HubSpec, place: Place) -> str:
    """Where people find the hub, with a slash at its end: its own domain, or its address on the cluster."""
    return f"https://{spec.domain}/" if spec.domain else place.hub_address.replace("{slug}", spec.slug)


def values_on(spec: HubSpec, place: Place) -> Values:
    """The chart values of the hub on that cluster; they hold no secret."""
    tagged = spec.model_copy(update={"cost_labels": {**place.cost_tags, **spec.cost_labels}})
    values = render_values(tagged)
    url = url_of(spec, place)
    hub, singleuser = values["hub"], values["singleuser"]
    hub["baseUrl"] = urlsplit(url).path
    hub["db"] = {"pvc": {"annotations": KEEP, "storageClassName": place.storage_class}}
    for name, traits in hub["config"].items():
        if name.endswith("OAuthenticator"):
            traits["oauth_callback_url"] = f"{url}hub/oauth_callback"
    singleuser["serviceAccountName"] = SERVER_ACCOUNT
    # Network policies keep servers from the cloud's metadata; the chart's other way needs a privileged container.
    singleuser["cloudMetadata"] = {"blockWithIptables": False}
    singleuser["storage"]["dynamic"] = {"storageClass": place.storage_class}
    if place.node_selector:
        hub["nodeSelector"] = dict(place.node_selector)
        singleuser["nodeSelector"] = dict(place.node_selector)
    # Helm would wait for this hook until every node has the image; the continuous puller does it beside the work.
    values["prePuller"] = {"hook": {"enabled": False}}
    return {**values, **_ways_in(spec, place, url)}


def _ways_in(spec: HubSpec, place: Place, url: str) -> Values:
    host = urlsplit(url).hostname or ""
    hosts = [] if _is_number(host) else [host]
    if place.gateway is not None:
        parent = {"name": place.gateway.name, "namespace": place.gateway.namespace}
        route = {"enabled": True, "hostnames": hosts, "parentRefs": [parent]}
        return {"ingress": {"enabled": False}, "httpRoute": route}
    if place.ingress_class is None:
        return {"ingress": {"enabled": False}}
    secure = url.startswith("https://") and bool(hosts)
    return {
        "ingress": {
            "enabled": True,
            "ingressClassName": place.ingress_class,
            "annotations": dict(place.ingress_annotations),
            "hosts": hosts,
            "tls": [{"hosts": hosts, "secretName": f"{spec.slug}-tls"}] if secure else [],
        }
    }


def _is_number(host: str) -> bool:
    """An ingress routes names; one without a host takes what comes to its controller's address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
