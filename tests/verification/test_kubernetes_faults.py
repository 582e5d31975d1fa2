"""Each call of ours and of Helm fails, hangs or loses its answer: the hub comes to be, or what failed is named."""

import re
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pydantic import SecretStr

from provisioning.gateways.base import GatewayError, HubTarget, Observed
from provisioning.gateways.carrying import Home
from provisioning.gateways.kubernetes.api import ClusterApi
from provisioning.gateways.kubernetes.driver import KubernetesDriver
from provisioning.gateways.kubernetes.paths import namespace_of
from provisioning.gateways.kubernetes.patience import Patience
from provisioning.specs import HubSpec
from tests.cluster.server import Call, Outcome
from tests.cluster.site import KubernetesSite
from tests.verification.interruptions import again_and_again, assert_whole, first, new_spec, second, smaller

pytestmark = pytest.mark.slow

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
    left = [Outcome(delay=4)]

    def once(call: Call) -> Outcome | None:
        is_mine = namespace_of(spec.slug) in call.path or "namespaces" not in call.path
        return left.pop() if left and is_mine and call.name == f"helm {name}" else None

    hasty = site.make_driver(helm=1.5, grace=0.4)
    with site.server.failing(once):
        again_and_again(lambda: hasty.ensure(first(spec), spec))
    assert left == []
    assert_whole(site, first(spec), spec)
