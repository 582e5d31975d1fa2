"""What only hubs on this machine have to show: whose processes they are, and who survives whom.

The tests share one supervisor and one hub, in the order of the file, because a hub takes seconds to start.
"""

import json
import os
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from provisioning.gateways.base import HubState, HubTarget
from provisioning.gateways.jupyterhub.client import HubClient
from provisioning.gateways.jupyterhub.student import StudentSession
from provisioning.gateways.local.driver import HubFailedError, LocalDriver, NotInTimeError
from provisioning.gateways.local.files import HubFolder
from provisioning.gateways.local.secret_store import MissingClientSecretError
from provisioning.gateways.local.supervisor import main as supervisor_main
from provisioning.specs import OidcSignOn
from tests.verification.local_hubs import FIRST, HUB_PYTHON, SPEC, LocalSite, local_site, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSite]:
    with local_site(tmp_path_factory.mktemp("local-hubs")) as made:
        made.driver.ensure(FIRST, SPEC)
        yield made


def test_local_processes_bear_the_run_and_nothing_of_the_portals_environment(local: LocalSite) -> None:
    with StudentSession(local.driver.observe(FIRST).url) as bob:
        bob.sign_in("bob", local.password(FIRST, "bob"))
        bob.start_server()

    processes = local.processes(FIRST)

    assert any("JUPYTERHUB_USER" in environment for environment in processes.values())
    assert len(processes) >= 3
    for environment in processes.values():
        assert environment["PORTAL_RUN"] == local.run_id
        assert "SECRET_KEY" not in environment


def test_local_listing_shows_every_server_however_small_its_pages(local: LocalSite) -> None:
    with StudentSession(local.driver.observe(FIRST).url) as ada:
        ada.sign_in("ada", local.password(FIRST, "ada"))
        ada.start_server()
    secrets = HubFolder(local.root, SPEC.slug).secrets()
    assert secrets is not None

    with HubClient(local.driver.observe(FIRST).url, secrets.portal_token, page_size=1) as client:
        assert {server.user_name for server in client.active_servers()} == {"ada", "bob"}
        assert client.is_answering()


def test_local_metering_token_can_neither_read_tokens_nor_stop_a_server(local: LocalSite) -> None:
    secrets = HubFolder(local.root, SPEC.slug).secrets()
    assert secrets is not None
    with StudentSession(local.driver.observe(FIRST).url) as portal:
        portal._http.headers["Authorization"] = f"token {secrets.portal_token}"
        for method, path in (
            ("GET", "/hub/api/users/bob/tokens"),
            ("DELETE", "/hub/api/users/bob/server"),
            ("POST", "/hub/api/users/mallory"),
            ("GET", "/user/bob/api/contents"),
        ):
            # A server that must first ask the hub who this is sends to the sign-in page instead.
            assert portal._try_to_send(method, path).status_code in {302, 403, 404}, path


def test_local_hub_drops_root_and_keeps_its_folder_closed(local: LocalSite) -> None:
    folder = HubFolder(local.root, SPEC.slug)
    owner = 65534 if os.geteuid() == 0 else os.geteuid()

    assert {Path(f"/proc/{pid}").stat().st_uid for pid in local.processes(FIRST)} == {owner}
    assert (folder.run.stat().st_uid, stat.S_IMODE(folder.run.stat().st_mode)) == (owner, 0o700)
    for secret in (folder.config_file, folder.accounts_file, folder.secrets_file, folder.desired_file):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    capabilities = [
        line.split()[1]
        for pid in local.processes(FIRST)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("CapEff")
    ]
    only_reading = 1 << 2
    assert {int(number, 16) & ~only_reading for number in capabilities} == {0}
    assert local.password(FIRST, "ada") not in folder.accounts_file.read_text()


def test_local_people_save_a_file_again_and_again_though_the_home_lies_in_a_closed_folder(local: LocalSite) -> None:
    closed = [each for each in local.root.parents if not each.stat().st_mode & 0o001]
    assert closed, "the folders of pytest are closed to others"
    with StudentSession(local.driver.observe(FIRST).url) as student:
        student.sign_in("ada", local.password(FIRST, "ada"))
        if "ada" not in {server.user_name for server in local.driver.sample(FIRST)}:
            student.start_server()
        for _ in range(3):
            student.write_and_read_back()


def test_local_drift_of_the_hubs_own_file_is_shown_without_its_secrets(local: LocalSite) -> None:
    path = HubFolder(local.root, SPEC.slug).config_file
    content = json.loads(path.read_text())
    before = path.read_text()
    try:
        path.write_text(json.dumps({**content, "default_url": "/tree", "service_tokens": {"portal": "mine"}}))
        found = local.driver.drift(FIRST, SPEC)
    finally:
        path.write_text(before)

    assert [(one.path, one.wanted, one.found) for one in found] == [
        ("config.default_url", '"/lab"', '"/tree"'),
        ("config.service_tokens.portal", "•••", "•••"),
        ("config.service_tokens.portal-check", "•••", "(missing)"),
    ]


def test_local_supervisor_that_was_killed_is_followed_by_one_that_adopts(local: LocalSite) -> None:
    before = local.hub_identity(FIRST)

    local.stop(signal.SIGKILL)
    assert local.driver.observe(FIRST).detail == "the hub supervisor is not running; start it"
    local.start()

    assert local.driver.ensure(FIRST, SPEC).healthy
    assert local.hub_identity(FIRST) == before
    assert {sample.user_name for sample in local.driver.sample(FIRST)} == {"ada", "bob"}


def test_local_second_supervisor_is_refused(local: LocalSite, caplog: pytest.LogCaptureFixture) -> None:
    assert supervisor_main([f"--root={local.root}", f"--hub-python={HUB_PYTHON}"]) == 2
    assert "another supervisor already keeps the hubs" in caplog.text


def test_local_proxy_that_was_killed_comes_back_with_its_routes(local: LocalSite) -> None:
    killed = local.seen(FIRST).proxy_pid
    local.kill(killed)
    wait_until(lambda: local.seen(FIRST).proxy_pid not in {killed, None}, "a new proxy")

    assert local.driver.ensure(FIRST, SPEC).healthy

    with StudentSession(local.driver.observe(FIRST).url) as bob:
        bob.sign_in("bob", local.password(FIRST, "bob"))
        assert bob.server_answers()


def test_local_wish_without_a_supervisor_says_so_and_is_kept(tmp_path: Path) -> None:
    driver = LocalDriver(tmp_path / "hubs", deadline_seconds=0.5)
    told: list[tuple[str, str]] = []

    with pytest.raises(NotInTimeError, match="the hub supervisor is not running") as refused:
        driver.ensure(FIRST, SPEC, lambda step, message: told.append((step, message)))

    assert not refused.value.permanent
    assert [step for step, _ in told] == ["prepare", "start"]
    assert driver.observe(FIRST).state is HubState.STARTING


def test_local_hub_that_cannot_start_says_why_and_is_not_waited_for(tmp_path: Path) -> None:
    without_jupyterhub = Path(sys.executable)
    with (
        local_site(tmp_path / "hubs", hub_python=without_jupyterhub) as site,
        pytest.raises(HubFailedError, match="configurable-http-proxy") as refused,
    ):
        site.driver.ensure(FIRST, SPEC)

    assert not refused.value.permanent


def test_local_hub_with_the_universitys_sign_on_needs_its_client_secret_and_sends_people_there(
    local: LocalSite,
) -> None:
    target = HubTarget(slug="south-uni", generation=1)
    sign_on = OidcSignOn(
        client_id="south-hub",
        authorize_url="http://127.0.0.1:9/authorize",
        token_url="http://127.0.0.1:9/token",
        userdata_url="http://127.0.0.1:9/userinfo",
        allowed_groups=frozenset({"student"}),
    )
    spec = SPEC.model_copy(update={"slug": "south-uni", "sign_on": sign_on})
    with pytest.raises(MissingClientSecretError, match="store it with store_client_secret"):
        local.driver.ensure(target, spec)
    local.driver.store_client_secret(target, "canary-client-secret")

    seen = local.driver.ensure(target, spec)

    assert seen.healthy
    answer = httpx.get(f"{seen.url}hub/oauth_login", trust_env=False)
    assert answer.is_redirect
    assert answer.headers["location"].startswith("http://127.0.0.1:9/authorize?")
    assert "client_id=south-hub" in answer.headers["location"]
    steps: list[str] = []
    local.driver.prove(target, lambda step, _message: steps.append(step))
    assert steps == ["sign_in", "start", "write"], "nobody signs in, and still it is proven that people can work"
    assert local.driver.sample(target) == []
    told = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in local.processes()]
    told += [log.read_bytes() for log in HubFolder(local.root, "south-uni").logs.iterdir()]
    assert not any(b"canary-client-secret" in one for one in told)
    assert local.driver.observe(FIRST).healthy, "two hubs share nothing"


def test_local_supervisor_stops_with_every_process_of_its_hubs(local: LocalSite) -> None:
    assert len(local.processes()) >= 4

    assert local.stop() == 0

    assert local.processes() == {}
