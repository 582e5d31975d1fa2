"""Workers, Helm and the cluster fail in the middle; what follows is one release, no orphan, and the truth about it."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from consortium.kernel import crash
from provisioning.gateways.base import GatewayError, HubState
from provisioning.gateways.kubernetes.driver import Limits
from provisioning.gateways.kubernetes.errors import BusyError
from provisioning.gateways.kubernetes.paths import namespace_of
from provisioning.specs import HubSpec
from tests.cluster.server import Fault, Outcome
from tests.cluster.site import HELM, PROJECT, KubernetesSite
from tests.cluster.store import wait_until
from tests.verification.interruptions import again_and_again, assert_whole, first, objects, second, smaller

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


def crashed(act: Callable[[], object], point: str) -> None:
    crash.arm(f"kubernetes.{point}")
    with pytest.raises(crash.SimulatedCrash):
        act()
    crash.disarm()


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
