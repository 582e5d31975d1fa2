"""Workers, Helm and the cluster fail in the middle; what follows is one release, no orphan, and the truth about it."""

import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pydantic import SecretStr

from consortium.kernel import crash
from provisioning.gateways.base import GatewayError, HubState, HubTarget, Observed
from provisioning.gateways.carrying import Home
from provisioning.gateways.kubernetes.api import ClusterApi
from provisioning.gateways.kubernetes.driver import KubernetesDriver, Limits
from provisioning.gateways.kubernetes.errors import BusyError
from provisioning.gateways.kubernetes.paths import namespace_of
from provisioning.gateways.kubernetes.patience import Patience
from provisioning.specs import HubSpec, Size
from tests.cluster.server import Call, Fault, Outcome
from tests.cluster.site import HELM, PROJECT, KubernetesSite, kubernetes_site
from tests.cluster.store import wait_until
from tests.verification.local_hubs import SPEC

pytestmark = pytest.mark.slow

MAKING = ("held", "namespace", "guarded", "secret", "helm.upgrade", "helm.upgrade.done", "released", "applied")
ENDING = ("held", "helm.uninstall", "helm.uninstall.done", "uninstalled", "namespace_deleted")
KEEPING = ("helm.uninstall.done", "swept")
SLEEPING = ("held", "scaled")
MENDING = ("helm.rollback", "helm.rollback.done")
# Those of homes on their way are tried in tests/integration/provisioning/test_moving.py.
CARRYING = ("carrier_prepared", "carrier_made", "carrier_ended", "claim_made")
# Those of snapshots are tried in test_kubernetes_snapshots.py.
SNAPPING = ("snapshot_made", "snapshot_kept")

FAULTS = {
    "timeout": Outcome(delay=0.15),
    "conflict": Outcome(status=409),
    "too_many": Outcome(status=429),
    "error": Outcome(status=500),
    "reset": Outcome(reset=True),
    "answer_lost": Outcome(lose_answer=True),
}
# One call of each step of a Helm run: who is there, lock the release, write the objects, say that it is done.
HELM_CALLS = ("GET /version", "GET secrets", "POST secrets", "PATCH deployments", "PUT secrets")

_numbers = count(1)
_whole: set[str] = set()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesSite]:
    with kubernetes_site(tmp_path_factory.mktemp("cluster")) as made:
        made.driver.ensure(first(SPEC), SPEC)
        _whole.update(objects(made, SPEC))
        yield made


@pytest.fixture(autouse=True)
def nothing_armed() -> Iterator[None]:
    yield
    crash.disarm()


@pytest.fixture
def spec() -> HubSpec:
    return new_spec()


def new_spec() -> HubSpec:
    """A hub of the test's own on the cluster that all share."""
    return SPEC.model_copy(update={"slug": f"story-{next(_numbers)}"})


def first(spec: HubSpec) -> HubTarget:
    return HubTarget(slug=spec.slug, generation=1)


def second(spec: HubSpec) -> HubTarget:
    return HubTarget(slug=spec.slug, generation=2)


def smaller(spec: HubSpec) -> HubSpec:
    return spec.model_copy(update={"size": Size(memory_guarantee_mib=256, memory_limit_mib=512)})


def objects(site: KubernetesSite, spec: HubSpec) -> set[str]:
    """What a hub's namespace holds, Helm's own notes apart, whatever the hub is called."""
    names = site.everything(first(spec))
    return {name.replace(spec.slug, "*") for name in names if "helm.release" not in name}


def assert_whole(site: KubernetesSite, target: HubTarget, spec: HubSpec) -> None:
    """One release, deployed, equal to the spec, and nothing beside what a hub that nobody disturbed has."""
    states = [status for _, status in site.releases(target)]
    assert states.count("deployed") == 1, states
    assert states[-1] == "deployed", states
    assert site.driver.drift(target, spec) == []
    assert objects(site, spec) == _whole


def crashed(act: Callable[[], object], point: str) -> None:
    crash.arm(f"kubernetes.{point}")
    with pytest.raises(crash.SimulatedCrash):
        act()
    crash.disarm()


def again_and_again(act: Callable[[], Observed], *, seconds: float = 40) -> Observed:
    """As the reconcile job does: what passes is tried again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return act()
        except GatewayError as error:
            if error.permanent or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def beside(act: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Runs the act in a thread; what it raised is in the list after the block."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except GatewayError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield raised
    thread.join()


def helm_of(slug: str) -> list[int]:
    """The processes of Helm that work on a hub."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0] == os.fsencode(HELM) and slug.encode() in words:
                found.append(int(entry.name))
    return found


def slow_deployments(slug: str, seconds: float = 30) -> Fault:
    """Helm's writing of Deployments hangs: in the middle of an installation or update."""
    path = f"/namespaces/{namespace_of(slug)}/deployments"
    return lambda call: Outcome(delay=seconds) if call.method == "PATCH" and path in call.path else None


def test_the_crash_points_of_the_code_are_those_that_are_tried_here() -> None:
    folder = PROJECT / "provisioning" / "gateways" / "kubernetes"
    text = "\n".join(path.read_text() for path in folder.glob("*.py"))
    named = set(re.findall(r'crash_point\(f?"kubernetes\.([a-z_.{}]+)"\)', text))
    acts = {f"helm.{act}{end}" for act in ("upgrade", "rollback", "uninstall") for end in ("", ".done")}
    assert {name for name in named if "{" not in name} | acts == {
        *MAKING, *ENDING, *KEEPING, *SLEEPING, *MENDING, *CARRYING, *SNAPPING
    }  # fmt: skip


@pytest.mark.parametrize("point", MAKING)
def test_killed_while_making_or_updating_a_hub_converges(site: KubernetesSite, spec: HubSpec, point: str) -> None:
    worker, next_one = site.make_driver(hold=0.3), site.make_driver()
    for target, wanted in ((first(spec), spec), (second(spec), smaller(spec))):
        crashed(partial(worker.ensure, target, wanted), point)
        seen = again_and_again(partial(next_one.ensure, target, wanted))
        assert (seen.healthy, seen.generation) == (True, target.generation)
        assert_whole(site, target, wanted)


@pytest.mark.parametrize("point", ENDING)
def test_killed_while_retiring_a_hub_leaves_nothing(site: KubernetesSite, spec: HubSpec, point: str) -> None:
    site.driver.ensure(first(spec), spec)
    worker = site.make_driver(hold=0.3)
    crashed(lambda: worker.destroy(second(spec), keep_data=False), point)
    again_and_again(lambda: site.driver.destroy(second(spec), keep_data=False))
    assert site.everything(first(spec)) == set()
    assert namespace_of(spec.slug) not in {found["metadata"]["name"] for found in site.store.find("namespaces")}


@pytest.mark.parametrize("point", KEEPING)
def test_killed_while_retiring_a_hub_that_keeps_its_data(site: KubernetesSite, spec: HubSpec, point: str) -> None:
    site.driver.ensure(first(spec), spec)
    worker = site.make_driver(hold=0.3)
    crashed(lambda: worker.destroy(second(spec), keep_data=True), point)
    again_and_again(lambda: site.driver.destroy(second(spec), keep_data=True))
    assert objects(site, spec) == {"persistentvolumeclaims/hub-db-dir"}


@pytest.mark.parametrize("point", SLEEPING)
def test_killed_while_falling_asleep_a_hub_sleeps_in_the_end(site: KubernetesSite, spec: HubSpec, point: str) -> None:
    site.driver.ensure(first(spec), spec)
    worker = site.make_driver(hold=0.3)
    crashed(lambda: worker.suspend(first(spec)), point)
    assert again_and_again(lambda: site.driver.suspend(first(spec))).state is HubState.SUSPENDED
    assert site.processes(first(spec)) == {}
    assert again_and_again(lambda: site.driver.resume(first(spec))).healthy
    assert_whole(site, first(spec), spec)


def test_a_worker_killed_for_real_is_followed_by_another(site: KubernetesSite, spec: HubSpec, tmp_path: Path) -> None:
    config, wish = tmp_path / "kubeconfig", tmp_path / "spec.json"
    config.write_text(site.server.kubeconfig())
    wish.write_text(spec.model_dump_json())
    command = [sys.executable, "-m", "tests.cluster.worker", str(config), str(wish), site.hubs.address]
    environment = {**os.environ, "PORTAL_CRASH_AT": "kubernetes.helm.upgrade.done"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(BusyError, match="another worker"):
        site.driver.ensure(first(spec), spec)
    assert again_and_again(lambda: site.driver.ensure(first(spec), spec)).healthy
    assert_whole(site, first(spec), spec)


def test_an_installation_whose_helm_was_killed_is_made_anew(site: KubernetesSite, spec: HubSpec) -> None:
    with (
        site.server.failing(slow_deployments(spec.slug)),
        beside(lambda: site.driver.ensure(first(spec), spec)) as said,
    ):
        wait_until(lambda: site.releases(first(spec)) == [(1, "pending-install")], "Helm to be in the middle")
        kill_helm(spec)
    assert "ended with -9" in str(said[0])
    assert site.releases(first(spec)) == [(1, "pending-install")]
    assert again_and_again(lambda: site.driver.ensure(first(spec), spec)).healthy
    assert_whole(site, first(spec), spec)


@pytest.mark.parametrize("point", ["", *MENDING])
def test_an_update_whose_helm_was_killed_goes_back_and_forward(site: KubernetesSite, spec: HubSpec, point: str) -> None:
    site.driver.ensure(first(spec), spec)
    after, wanted = second(spec), smaller(spec)
    with site.server.failing(slow_deployments(spec.slug)), beside(lambda: site.driver.ensure(after, wanted)):
        wait_until(lambda: site.releases(after)[-1] == (2, "pending-upgrade"), "Helm to be in the middle")
        kill_helm(spec)
    if point:
        worker = site.make_driver(hold=0.3)
        crashed(lambda: worker.ensure(after, wanted), point)
    assert again_and_again(lambda: site.driver.ensure(after, wanted)).healthy
    assert_whole(site, after, wanted)


def kill_helm(spec: HubSpec) -> None:
    (pid,) = helm_of(spec.slug)
    os.kill(pid, signal.SIGKILL)


def test_a_helm_that_takes_too_long_is_asked_to_end_before_it_is_killed(site: KubernetesSite, spec: HubSpec) -> None:
    hasty = site.make_driver(helm=0.3, grace=1.0)
    with site.server.failing(slow_deployments(spec.slug)), pytest.raises(GatewayError, match="was stopped") as said:
        hasty.ensure(first(spec), spec)
    assert not said.value.permanent
    assert helm_of(spec.slug) == []
    assert site.releases(first(spec)) == [(1, "failed")], "asked to end, Helm leaves a release that it can mend itself"
    assert again_and_again(lambda: site.driver.ensure(first(spec), spec)).healthy
    assert_whole(site, first(spec), spec)


def test_the_limits_nest() -> None:
    from consortium.celery import app  # noqa: PLC0415 - only this test wants it

    usual = Limits()
    helm_at_most = usual.helm + 3 * usual.grace
    assert usual.helm < helm_at_most < usual.hold <= 30 < app.conf.task_soft_time_limit < app.conf.task_time_limit


def test_two_workers_at_one_hub_take_turns(site: KubernetesSite, spec: HubSpec) -> None:
    workers = [site.make_driver() for _ in range(4)]
    with ThreadPoolExecutor(len(workers)) as pool:
        seen = list(pool.map(lambda one: again_and_again(lambda: one.ensure(first(spec), spec)), workers))
    assert all(one.healthy for one in seen)
    assert site.releases(first(spec)) == [(1, "deployed")], "one installed it, the others found it done"
    assert_whole(site, first(spec), spec)


type Act = Callable[[KubernetesDriver, HubSpec], Observed]

# A hub's life. Each act may follow itself.
LIFE: dict[str, Act] = {
    "ensure": lambda by, spec: by.ensure(first(spec), spec),
    "update": lambda by, spec: by.ensure(second(spec), smaller(spec)),
    "suspend": lambda by, spec: by.suspend(second(spec)),
    "carry": lambda by, spec: carried(by, second(spec)),
    "resume": lambda by, spec: by.resume(second(spec)),
    "destroy": lambda by, spec: by.destroy(HubTarget(slug=spec.slug, generation=3), keep_data=False),
}


def carried(by: KubernetesDriver, target: HubTarget) -> Observed:
    """A home is written, read back, and nothing that carried it stays."""
    home = Home(user="ada")
    with TemporaryDirectory() as folder:
        archive = Path(folder, "home.tar.gz")
        with tarfile.open(archive, "w:gz") as packed:
            packed.addfile(tarfile.TarInfo("empty"))
        written = by.write_home(target, home, archive)
        assert by.read_home(target, home, into=Path(folder))[1] == written
    by.end_carrying(target)
    return by.observe(target)


def calls_of_ours(site: KubernetesSite) -> dict[str, str]:
    """Every kind of call that the driver itself makes in a hub's life, with the act that makes it first."""
    spec, found = new_spec(), dict[str, str]()
    for name, act in LIFE.items():
        begun = len(site.server.calls)
        act(site.driver, spec)
        for call in site.server.calls[begun:]:
            if call.agent == "portal":
                found.setdefault(call.name, name)
    return found


@pytest.mark.parametrize("kind", FAULTS)
def test_when_each_call_of_ours_fails_once_the_hub_still_lives_and_dies(
    site: KubernetesSite, spec: HubSpec, kind: str
) -> None:
    failed: set[tuple[str, str]] = set()

    def once_each(call: Call) -> Outcome | None:
        if call.agent != "portal" or (call.name, call.path) in failed:
            return None
        failed.add((call.name, call.path))
        return FAULTS[kind]

    driver = site.make_driver(call=0.08)
    with site.server.failing(once_each):
        seen = {name: again_and_again(partial(act, driver, spec)) for name, act in LIFE.items()}
    wanted = ("running", "running", "suspended", "suspended", "running", "absent")
    assert tuple(one.state for one in seen.values()) == wanted
    assert len(failed) > 40, "the faults did strike"
    assert site.everything(first(spec)) == set()


def test_a_call_of_ours_that_always_fails_is_named_by_the_deadline(site: KubernetesSite) -> None:
    found = calls_of_ours(site)
    del found["portal POST configmaps"]  # its path names no hub, so it cannot fail for one alone
    found.pop("portal DELETE pods", None)  # a pod whose Job is deleted may be gone before anybody asks
    assert len(found) > 20
    with ThreadPoolExecutor(8) as pool:
        said = dict(pool.map(lambda item: always_failing(site, *item), found.items()))
    silent = {name for name, words in said.items() if not words}
    assert not silent, "each of these is needed for its act"


def always_failing(site: KubernetesSite, name: str, act: str) -> tuple[str, str]:
    """An act in which one kind of call never works says so by its deadline; without the fault it ends well."""
    spec = new_spec()
    for before, make in LIFE.items():
        if before == act:
            break
        again_and_again(partial(make, site.driver, spec))

    def mine(call: Call) -> Outcome | None:
        return FAULTS["error"] if call.name == name and re.search(rf"-{spec.slug}(/|$)", call.path) else None

    hasty, begun, said = site.make_driver(act=0.6, call=0.2, hold=0.2), time.monotonic(), ""
    with site.server.failing(mine):
        try:
            LIFE[act](hasty, spec)
        except GatewayError as error:
            said = "for ever" if error.permanent else error.message
    assert time.monotonic() - begun < 12, "a run of Helm at most beyond the deadline"
    assert not said or re.search(r"is tried again|still works on it|helm|another worker", said), said
    again_and_again(lambda: LIFE[act](site.driver, spec))
    return name, said


@pytest.mark.parametrize("status", [409, 429, 500, 503, 0])
def test_what_passes_is_tried_with_growing_pauses_until_the_deadline(site: KubernetesSite, status: int) -> None:
    path, begun = "/api/v1/namespaces/busy", time.monotonic()
    outcome = Outcome(status=status, delay=0 if status else 1)
    with (
        site.server.failing(lambda call: outcome if call.path == path else None),
        ClusterApi(site.access, Patience(0.5, base_seconds=0.02), timeout_seconds=0.1) as api,
        pytest.raises(GatewayError, match=r"GET /api/v1/namespaces/busy.*(injected fault|timed out)") as said,
    ):
        api.get(path)
    tries = [call for call in site.server.calls if call.path == path]
    assert not said.value.permanent
    assert time.monotonic() - begun < 1
    assert 2 <= len(tries) < 40, "neither once nor as fast as it can"
    site.server.calls[:] = [call for call in site.server.calls if call.path != path]


def test_a_pause_that_the_server_asks_for_is_not_begun_when_it_would_end_too_late() -> None:
    assert not Patience(1).pause(0, at_least=30)


def test_credentials_that_are_refused_are_for_a_person_to_mend(site: KubernetesSite) -> None:
    access = site.access.model_copy(update={"token": SecretStr("expired")})
    with (
        ClusterApi(access, Patience(5)) as stranger,
        pytest.raises(GatewayError, match=r"status 401.*store new credentials") as refused,
    ):
        stranger.get("/api/v1/namespaces/default")
    assert refused.value.permanent


@pytest.mark.parametrize("kind", ["conflict", "error"])
@pytest.mark.parametrize("name", HELM_CALLS)
def test_a_call_of_helm_that_fails_once_is_no_more_than_a_delay(
    site: KubernetesSite, spec: HubSpec, name: str, kind: str
) -> None:
    left = [FAULTS[kind]]

    def once(call: Call) -> Outcome | None:
        is_mine = namespace_of(spec.slug) in call.path or "namespaces" not in call.path
        return left.pop() if left and is_mine and call.name == f"helm {name}" else None

    with site.server.failing(once):
        assert again_and_again(lambda: site.driver.ensure(first(spec), spec)).healthy
    assert left == []
    assert_whole(site, first(spec), spec)


@pytest.mark.parametrize("name", HELM_CALLS)
def test_a_call_of_helm_that_hangs_is_cut_off_and_repeated(site: KubernetesSite, spec: HubSpec, name: str) -> None:
    left = [Outcome(delay=1.5)]

    def once(call: Call) -> Outcome | None:
        is_mine = namespace_of(spec.slug) in call.path or "namespaces" not in call.path
        return left.pop() if left and is_mine and call.name == f"helm {name}" else None

    hasty = site.make_driver(helm=0.3, grace=0.4)
    with site.server.failing(once):
        again_and_again(lambda: hasty.ensure(first(spec), spec))
    assert left == []
    assert_whole(site, first(spec), spec)
