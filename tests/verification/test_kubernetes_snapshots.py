"""Before the end of a hub on a cluster its volumes are kept, where their storage can, until their own days are over."""

from collections.abc import Iterator

import pytest

from consortium.kernel import crash
from provisioning.gateways.base import HubTarget
from provisioning.gateways.jupyterhub.student import StudentSession
from tests.cluster.resources import Json, Key
from tests.cluster.site import KubernetesSite, kubernetes_site
from tests.cluster.store import wait_until
from tests.verification.local_hubs import SPEC

pytestmark = pytest.mark.slow

TARGET = HubTarget(slug=SPEC.slug, generation=1)
SNAPSHOTS = "snapshot.storage.k8s.io/v1"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesSite]:
    with kubernetes_site(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def contents(site: KubernetesSite) -> list[Json]:
    return site.store.find("volumesnapshotcontents")


def can_snapshot(site: KubernetesSite) -> None:
    """As the operators of a cluster make it: a storage, and a class of snapshots of the same driver."""
    storage = {"provisioner": "disks.example", "metadata": {"name": "standard"}}
    site.store.put(Key("storage.k8s.io/v1", "storageclasses", "", "standard"), storage)
    kept = {"driver": "disks.example", "deletionPolicy": "Delete", "metadata": {"name": "disks"}}
    site.store.put(Key(SNAPSHOTS, "volumesnapshotclasses", "", "disks"), kept)


def test_volumes_are_kept_beyond_the_hub_and_released_when_their_days_are_over(site: KubernetesSite) -> None:
    site.driver.ensure(TARGET, SPEC)
    with StudentSession(site.driver.observe(TARGET).url) as ada:
        ada.sign_in("ada", site.password(TARGET, "ada"))
        ada.start_server()
    assert site.driver.snapshot(TARGET) == 0, "this cluster cannot, and that is no error"
    can_snapshot(site)

    for point in ("snapshot_made", "snapshot_kept"):
        crash.arm(f"kubernetes.{point}")
        with pytest.raises(crash.SimulatedCrash):
            site.driver.snapshot(TARGET)
        crash.disarm()
    assert site.driver.snapshot(TARGET) == 2, "the hub's database and one home, each once"
    site.driver.destroy(TARGET, keep_data=False)

    assert site.everything(TARGET) == set()
    assert [one["spec"]["deletionPolicy"] for one in contents(site)] == ["Retain", "Retain"]
    assert site.driver.snapshot(TARGET) == 0, "a hub that is gone has no volumes"
    assert site.driver.release_snapshots(TARGET) == 2
    wait_until(lambda: not contents(site), "the storage to delete them")
    assert site.driver.release_snapshots(TARGET) == 0
