"""Which driver runs a cluster's hubs, and whether its place is ready to take work."""

import os
from pathlib import Path

from django.conf import settings
from django.utils.text import slugify
from django.utils.translation import gettext as _

from consortium.kernel.errors import PortalError
from provisioning.clusters import kubernetes_driver
from provisioning.gateways.base import HubDriver, HubTarget
from provisioning.gateways.local.driver import LocalDriver
from provisioning.gateways.local.files import is_supervised
from provisioning.models import Cluster, Hub

# One call of `ensure` waits this long; the job repeats it, so that it can show a sign of life in between.
PATIENCE_SECONDS = 3.0


class DriverMissing(PortalError):
    """This portal cannot drive clusters of that kind yet."""

    code = "driver_missing"


def driver_for(cluster: Cluster) -> HubDriver:
    """Will return the driver of the cluster's hubs. Raises DriverMissing, NoCredentials, ClusterIncomplete."""
    if cluster.driver == "local":
        return LocalDriver(local_root(cluster), deadline_seconds=PATIENCE_SECONDS)
    if cluster.driver == "kubernetes":
        return kubernetes_driver(cluster)
    raise DriverMissing(
        _("The cluster %(name)s is of the kind %(kind)s, which this portal cannot drive yet. Choose another cluster.")
        % {"name": cluster.name, "kind": cluster.driver}
    )


def local_root(cluster: Cluster | None = None) -> Path:
    """The folder of a local cluster's hubs, which one hub supervisor keeps; without a cluster that of the first one.

    A second place on this machine is a cluster whose settings name it: {"place": "annex"} is `hubs-annex`.
    """
    place = str(cluster.settings.get("place", "")) if cluster is not None else ""
    return Path(settings.PORTAL_HOME) / (f"hubs-{slugify(place)}" if slugify(place) else "hubs")


def local_driver() -> LocalDriver:
    """Will return the driver of this machine's own hubs, which also knows the passwords of demonstration accounts."""
    return LocalDriver(local_root(), deadline_seconds=PATIENCE_SECONDS)


def why_not_ready(cluster: Cluster) -> str:
    """Will return why the cluster cannot take work now, with the remedy; the empty string when it can."""
    if cluster.driver == "local" and not is_supervised(local_root(cluster)):
        return _(
            "The hub supervisor is not running, so no local hub can start. "
            "Start it (./portal demo does); the work goes on by itself."
        )
    if cluster.driver == "kubernetes" and not os.access(settings.HELM, os.X_OK):
        return _("There is no helm at %(path)s. ./portal fetches it; or set HELM to yours.") % {"path": settings.HELM}
    return ""


def target_of(hub: Hub) -> HubTarget:
    """Will name the hub and the generation that the row holds, as drivers want it."""
    return HubTarget(slug=hub.slug, generation=hub.generation)
