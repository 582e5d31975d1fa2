"""A hub is requested: the agreement must allow it, a cluster in an allowed region must have room."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel.errors import PortalError
from members.entitlements import Entitlements, check_hub, entitlements
from members.models import Institution, User
from provisioning import requests
from provisioning.models import Cluster, Environment, Hub


class NoCluster(PortalError):
    """No cluster in a region that the agreement names takes hubs now."""

    code = "no_cluster"


def entitled_environments(entitlement: Entitlements) -> list[Environment]:
    """The catalogue's environments that the agreement names."""
    return list(Environment.objects.filter(key__in=entitlement.environments, retired_at=None))


@transaction.atomic
def request_hub(*, institution: Institution, wish: requests.HubWish, by: User, at: datetime) -> Hub:
    """Write the request; consortium staff approve it (provisioning.requests.approve_hub).

    Two requests at once for the last entitled hub: the second waits for the first and is told. Raises NoAgreement,
    EntitlementExceeded, NoCluster and what provisioning.requests raises. Needs the institution's scope.
    """
    Institution.objects.select_for_update(no_key=True).get(pk=institution.pk)
    entitlement = entitlements(institution.pk, at=at)
    cluster = _cluster(entitlement)
    existing = Hub.objects.filter(institution=institution).exclude(status__in=["retired", "declined"]).count()
    check_hub(
        entitlement,
        environment=wish.environment,
        memory_bytes=wish.memory_bytes,
        max_servers=wish.max_servers,
        region=cluster.region,
        existing=existing,
    )
    return requests.request_hub(
        institution=institution,
        cluster=cluster,
        spec=wish.spec(slug=requests.hub_slug(institution.slug, wish.name)),
        agreement_id=entitlement.agreement_id,
        zone=entitlement.zone,
        by=by,
        at=at,
        purpose=wish.purpose,
    )


def _cluster(entitlement: Entitlements) -> Cluster:
    cluster = Cluster.objects.filter(region__in=entitlement.regions, retired_at=None).order_by("slug").first()
    if cluster is None:
        raise NoCluster(_("No cluster in the regions of your agreement takes hubs now. The consortium adds one."))
    return cluster
