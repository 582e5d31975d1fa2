"""Hubs of a test's own on one cluster that all tests of a file share, and what is true of one that nobody disturbed."""

import time
from collections.abc import Callable
from itertools import count

from provisioning.gateways.base import GatewayError, HubTarget, Observed
from provisioning.specs import HubSpec, Size
from tests.cluster.site import KubernetesSite
from tests.verification.local_hubs import SPEC

_numbers = count(1)
_whole: set[str] = set()


def remember_whole(site: KubernetesSite) -> None:
    """Make a hub that nobody disturbs, and remember what it has."""
    site.driver.ensure(first(SPEC), SPEC)
    _whole.update(objects(site, SPEC))


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
