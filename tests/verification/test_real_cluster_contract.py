"""The contract's way to any cluster, tried on one that is a process of its own and tells its address in variables."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.gateways.base import HubState, HubTarget
from provisioning.gateways.jupyterhub.student import StudentSession
from tests.cluster.real import real_cluster_site
from tests.cluster.site import PROJECT
from tests.verification.local_hubs import FIRST, SPEC

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster that nobody here knows but by what it prints."""
    command = [sys.executable, "-m", "tests.cluster", str(tmp_path)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            for line in iter(running.stdout.readline, "ready\n"):
                name, _, value = line.strip().partition("=")
                assert name, "it ended before it was ready"
                monkeypatch.setenv(name, value)
            yield
        finally:
            running.terminate()


def test_contract_real_cluster_makes_proves_and_ends_a_hub_on_a_cluster_of_another_process(
    cluster: None, tmp_path: Path
) -> None:
    with real_cluster_site(tmp_path) as site:
        assert site.driver.ensure(FIRST, SPEC).healthy
        site.driver.prove(FIRST)
        with StudentSession(site.driver.observe(FIRST).url) as ada:
            ada.sign_in("ada", site.password(FIRST, "ada"))
            ada.start_server()
        assert "ada" in site.homes(FIRST)
        before = site.hub_identity(FIRST)
        site.kill_hub(FIRST)
        assert site.hub_identity(FIRST) != before
        assert site.driver.drift(FIRST, SPEC) == []
    assert site.driver.observe(HubTarget(slug=SPEC.slug, generation=1)).state is HubState.ABSENT
