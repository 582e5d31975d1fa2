"""What every hub driver must do. Another driver joins by adding its site to MAKERS.

The local driver is proven on real JupyterHubs; the Kubernetes driver with the real Helm on a cluster in memory, and on
any cluster that KUBECONFIG_TEST names (docs/how-to/use-a-cluster.md says how). The tests of a class share one hub, in
the order of the file, because a hub takes seconds to start.
"""

import hashlib
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest

from provisioning.gateways.base import (
    GatewayError,
    HubDriver,
    HubState,
    HubTarget,
    ServerSample,
    StaleGenerationError,
    WorkProver,
)
from provisioning.gateways.jupyterhub.student import SignInRefusedError, StudentSession
from provisioning.specs import HubSpec, Size, spec_hash
from tests.cluster.real import real_cluster_site
from tests.cluster.site import kubernetes_site
from tests.verification.local_hubs import FIRST, SPEC, local_site


class Site(Protocol):
    """A driver with what a test must know about the place where its hubs run."""

    @property
    def driver(self) -> HubDriver: ...
    def password(self, target: HubTarget, name: str) -> str: ...
    def kill_hub(self, target: HubTarget) -> None: ...
    def hub_identity(self, target: HubTarget) -> object: ...
    def homes(self, target: HubTarget) -> set[str]: ...
    def processes(self, target: HubTarget | None = None) -> dict[int, Any]: ...


type SiteMaker = Callable[[Path], AbstractContextManager[Site]]

MAKERS: dict[str, SiteMaker] = {
    "contract-local": local_site,
    "contract-kubernetes": kubernetes_site,
    "contract-real_cluster": real_cluster_site,
}
# What a spec's largest number of servers is called where each driver looks for drift.
MAX_SERVERS = {"max_servers", "activeServerLimit"}
SITES = [pytest.param(make, id=name) for name, make in MAKERS.items()]


@pytest.fixture(scope="class", params=SITES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    make: SiteMaker = request.param
    with make(tmp_path_factory.mktemp("hubs")) as made:
        made.driver.ensure(FIRST, SPEC)
        yield made


@pytest.fixture
def people(site: Site) -> Iterator[Callable[[str], StudentSession]]:
    """Signs a person in and closes the visit after the test; their server stays as they left it."""
    with ExitStack() as visits:

        def signed_in(name: str) -> StudentSession:
            student = visits.enter_context(StudentSession(site.driver.observe(FIRST).url))
            student.sign_in(name, site.password(FIRST, name))
            return student

        yield signed_in


@pytest.fixture
def ada_at_work(site: Site, people: Callable[[str], StudentSession]) -> StudentSession:
    """Ada with a running server, started now unless an earlier test left it running."""
    ada = people("ada")
    if "ada" not in names(site.driver.sample(FIRST)):
        ada.start_server()
    return ada


def names(samples: list[ServerSample]) -> set[str]:
    return {sample.user_name for sample in samples}


@pytest.mark.slow
class TestHubDriverContract:
    def test_a_hub_that_was_ensured_answers_with_its_version(self, site: Site) -> None:
        seen = site.driver.observe(FIRST)

        assert seen.healthy
        assert seen.state is HubState.RUNNING
        assert int(seen.version.split(".")[0]) >= 5
        assert (seen.generation, seen.spec_hash) == (1, spec_hash(SPEC))

    def test_ensuring_the_same_again_changes_nothing_and_returns_at_once(self, site: Site) -> None:
        before, started = site.hub_identity(FIRST), time.monotonic()

        seen = site.driver.ensure(FIRST, SPEC)

        assert seen.healthy
        assert site.hub_identity(FIRST) == before
        assert time.monotonic() - started < 5

    def test_nobody_signs_in_with_a_wrong_password_or_an_unknown_name(self, site: Site) -> None:
        with StudentSession(site.driver.observe(FIRST).url) as stranger:
            for name, password in (("ada", "wrong"), ("mallory", site.password(FIRST, "ada"))):
                with pytest.raises(SignInRefusedError, match=name):
                    stranger.sign_in(name, password)

    def test_a_server_is_sampled_from_its_start_until_it_stops(
        self, site: Site, people: Callable[[str], StudentSession]
    ) -> None:
        ada, told, before = people("ada"), list[str](), datetime.now(UTC)
        assert site.driver.sample(FIRST) == []

        ada.start_server(progress=lambda _, message: told.append(message))

        (sample,) = site.driver.sample(FIRST)
        assert (sample.user_name, sample.server_name, sample.ready) == ("ada", "", True)
        assert before <= sample.started <= datetime.now(UTC)
        assert (sample.memory_bytes, sample.cpu) == (384 * 1024 * 1024, Decimal("0.1"))
        assert ada.server_answers()
        assert told

        ada.stop_server()

        assert site.driver.sample(FIRST) == []

    def test_a_synthetic_user_proves_that_people_can_work(self, site: Site) -> None:
        assert isinstance(site.driver, WorkProver)
        steps: list[str] = []

        site.driver.prove(FIRST, lambda step, _message: steps.append(step))

        assert steps == ["sign_in", "start", "write"]
        assert site.driver.sample(FIRST) == [], "it leaves no server behind"

    def test_a_hub_that_was_killed_comes_back_and_keeps_its_running_servers(
        self, site: Site, ada_at_work: StudentSession
    ) -> None:
        (before,) = site.driver.sample(FIRST)
        assert ada_at_work.server_answers()

        site.kill_hub(FIRST)
        assert ada_at_work.server_answers(), "people work on while their hub is away"
        assert site.driver.ensure(FIRST, SPEC).healthy

        (after,) = site.driver.sample(FIRST)
        assert (after.user_name, after.started, after.ready) == ("ada", before.started, True)
        ada_at_work.stop_server()
        assert site.driver.sample(FIRST) == [], "the hub that came back can still stop what it did not start"

    def test_a_hub_equal_to_its_spec_has_no_drift(self, site: Site) -> None:
        assert site.driver.drift(FIRST, SPEC) == []
        larger = SPEC.model_copy(update={"max_servers": SPEC.max_servers + 1})
        (found,) = (found.path.rpartition(".")[2] for found in site.driver.drift(FIRST, larger))
        assert found in MAX_SERVERS

    def test_the_take_away_bundle_is_whole_and_holds_no_secret(self, site: Site, tmp_path: Path) -> None:
        path = site.driver.take_away(FIRST, SPEC, into=tmp_path)

        with zipfile.ZipFile(path) as bundle:
            contents = {name.partition("/")[2]: bundle.read(name) for name in bundle.namelist()}
        assert contents.keys() >= {"README.md", "values.yaml", "spec.json", "SHA256SUMS"}
        for line in contents["SHA256SUMS"].decode().splitlines():
            digest, _, name = line.partition("  ")
            assert hashlib.sha256(contents[name]).hexdigest() == digest
        assert HubSpec.model_validate_json(contents["spec.json"]) == SPEC
        everything = b"".join(contents.values())
        assert site.password(FIRST, "ada").encode() not in everything

    def test_a_suspended_hub_has_no_process_and_wakes_with_its_homes(
        self, site: Site, ada_at_work: StudentSession
    ) -> None:
        assert "ada" in names(site.driver.sample(FIRST))

        assert site.driver.suspend(FIRST).state is HubState.SUSPENDED
        assert site.processes(FIRST) == {}
        with pytest.raises(GatewayError, match="suspended") as refused:
            site.driver.sample(FIRST)
        assert not refused.value.permanent
        late = site.driver.ensure(FIRST, SPEC)
        assert late.state is HubState.SUSPENDED, "a task that comes late does not wake it"

        assert site.driver.resume(FIRST).healthy
        assert site.driver.sample(FIRST) == []
        assert "ada" in site.homes(FIRST)

    def test_a_new_generation_changes_the_hub_and_shuts_out_the_older_one(self, site: Site) -> None:
        second = HubTarget(slug=SPEC.slug, generation=2)
        smaller = SPEC.model_copy(update={"size": Size(memory_guarantee_mib=256, memory_limit_mib=512)})

        seen = site.driver.ensure(second, smaller)

        assert seen.healthy
        assert (seen.generation, seen.spec_hash) == (2, spec_hash(smaller))
        assert site.driver.drift(second, smaller) == []
        late: list[Callable[[], object]] = [
            lambda: site.driver.ensure(FIRST, SPEC),
            lambda: site.driver.suspend(FIRST),
            lambda: site.driver.destroy(FIRST, keep_data=False),
        ]
        for stale in late:
            with pytest.raises(StaleGenerationError, match="generation 1 is out of date"):
                stale()

    def test_a_destroyed_hub_leaves_no_process_and_only_the_homes(self, site: Site) -> None:
        third = HubTarget(slug=SPEC.slug, generation=3)

        assert site.driver.destroy(third, keep_data=True).state is HubState.ABSENT

        assert site.processes(third) == {}
        assert "ada" in site.homes(third)
        with pytest.raises(GatewayError, match="no hub north-uni"):
            site.driver.sample(third)
        with pytest.raises(StaleGenerationError):
            site.driver.ensure(third, SPEC)
        assert site.driver.destroy(third, keep_data=False).state is HubState.ABSENT
        assert site.homes(third) == set()

    def test_a_hub_that_nobody_wanted_is_absent(self, site: Site) -> None:
        unknown = HubTarget(slug="never-was", generation=1)
        assert site.driver.observe(unknown).state is HubState.ABSENT
        with pytest.raises(GatewayError, match="provision it first"):
            site.driver.suspend(unknown)
