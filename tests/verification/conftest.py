"""What the stories of interruptions share; a file with another cluster in mind has a `site` of its own."""

from collections.abc import Iterator

import pytest

from consortium.kernel import crash
from provisioning.specs import HubSpec
from tests.cluster.site import KubernetesSite, kubernetes_site
from tests.verification.interruptions import new_spec, remember_whole


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesSite]:
    with kubernetes_site(tmp_path_factory.mktemp("cluster")) as made:
        remember_whole(made)
        yield made


@pytest.fixture(autouse=True)
def nothing_armed() -> Iterator[None]:
    yield
    crash.disarm()


@pytest.fixture
def spec() -> HubSpec:
    return new_spec()
