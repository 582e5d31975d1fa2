"""The home: private, made once, held by one demo at a time."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.fernet import Fernet

from consortium.embedded.home import DiskFullError, Home, HomeInUseError, HomeNotWritableError, SecretsUnreadableError


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_only_its_owner_may_look_inside(tmp_path: Path) -> None:
    home = Home(tmp_path / "new")
    assert home.secrets
    # Hubs, which run as nobody, pass through the home and see nothing in it.
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o711
    assert stat.S_IMODE((home.path / "documents").stat().st_mode) == 0o700
    assert stat.S_IMODE((home.path / "secrets.json").stat().st_mode) == 0o600


def test_secrets_are_made_once_and_differ_between_homes(tmp_path: Path) -> None:
    first = Home(tmp_path / "a").secrets
    assert Home(tmp_path / "a").secrets == first
    assert Home(tmp_path / "b").secrets["SECRET_KEY"] != first["SECRET_KEY"]
    assert first["STRIPE_API_KEY"].startswith("sk_test_simulator")
    Fernet(first["FIELD_KEYS"])


def test_damaged_secrets_are_not_replaced_in_silence(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.path / "secrets.json").write_text("{half")
    with pytest.raises(SecretsUnreadableError, match="restore it"):
        _ = home.secrets
    assert (home.path / "secrets.json").read_text() == "{half"


def test_where_it_is_follows_the_option_then_the_environment_then_the_project(tmp_path: Path) -> None:
    environ = {"PORTAL_HOME": "named", "PORTAL_CWD": str(tmp_path)}
    assert Home.resolve(None, environ).path == tmp_path / "named"
    assert Home.resolve("option", environ).path == tmp_path / "option"
    assert Home.resolve("option", environ, below="test").path == tmp_path / "option" / "test"


def test_a_second_demo_hears_who_is_there(tmp_path: Path) -> None:
    with Home(tmp_path).held(), pytest.raises(HomeInUseError, match=str(os.getpid())), Home(tmp_path).held():
        pass
    with Home(tmp_path).held():
        pass


def test_a_home_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeNotWritableError, match="--home"):
        Home(tmp_path / "file" / "home")


def test_a_full_disk_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consortium.embedded.home.shutil.disk_usage", lambda _: Usage(10**9, 10**9, 5 * 2**20))
    with pytest.raises(DiskFullError, match="5 MB free"):
        Home(tmp_path)


def test_the_environment_names_everything_the_settings_read(tmp_path: Path) -> None:
    home = Home(tmp_path)
    environ = home.environment(app_url="a", owner_url="o", redis_url="r", port=8123, demo=True)
    assert environ["PUBLIC_URL"] == "http://127.0.0.1:8123"
    assert environ["DEMO"] == "true"
    assert environ["SECRET_KEY"] == home.secrets["SECRET_KEY"]
    assert all(isinstance(value, str) for value in environ.values())


def test_the_simulators_port_stays_the_same_while_it_is_free(tmp_path: Path) -> None:
    assert Home(tmp_path).stripe_port() == Home(tmp_path).stripe_port()
