"""A cluster elsewhere, as staff would describe one; without credentials, so nothing is ever sent to it."""

from datetime import datetime

from consortium.kernel import audit
from provisioning.models import Cluster


def tell_clusters(*, by: audit.System, at: datetime) -> Cluster:
    """Make the example once. Its region is in no agreement, so no hub is put there. Needs a consortium scope."""
    cluster, made = Cluster.objects.get_or_create(
        slug="example-cloud",
        defaults={
            "name": "Example cloud (not connected)",
            "driver": "kubernetes",
            "provider": "openstack",
            "region": "ca-west",
            "capacity": 60,
            "hub_address": "https://{slug}.hubs.example/",
            "ingress_class": "traefik",
            "storage_class": "standard",
            "cost_tags": {"consortium": "icc"},
            "chart_reference": "/srv/charts/jupyterhub.tgz",
        },
    )
    if made:
        audit.record("provisioning.cluster_added", cluster, by=by, at=at, institution_id=None)
    return cluster
