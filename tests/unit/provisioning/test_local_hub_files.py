import socket
import stat
import time
from pathlib import Path

import pytest

from provisioning.gateways.local.files import (
    Desired,
    HubFolder,
    Ports,
    UnreadableRecordError,
    is_supervised,
    supervising,
    write_atomically,
    write_record,
)
from provisioning.gateways.local.keeper import HubKeeper, Trouble
from provisioning.gateways.local.ports import choose_ports

WISH = Desired(
    generation=1,
    state="running",
    host="127.0.0.1",
    ports=Ports(public=21001, proxy_api=21002, hub=21003),
    spec=None,
    spec_hash="",
)


def folder_with(tmp_path: Path, text: str) -> HubFolder:
    folder = HubFolder(tmp_path, "north-uni")
    folder.create()
    folder.desired_file.write_text(text)
    return folder


def test_a_file_is_replaced_whole_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    write_atomically(path, "old")
    write_atomically(path, "new")

    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secrets.json"]


def test_a_link_that_a_student_plants_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim, planted = tmp_path / "victim", tmp_path / "config.json"
    victim.write_text("untouched")
    planted.symlink_to(victim)

    write_atomically(planted, "configuration")

    assert victim.read_text() == "untouched"
    assert not planted.is_symlink()


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "")
    write_record(folder.desired_file, WISH)
    assert folder.desired() == WISH


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"generation": 1, "extra": true}'])
def test_a_damaged_record_is_named_with_its_path(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnreadableRecordError, match=r"desired\.json cannot be read") as refused:
        folder_with(tmp_path, text).desired()
    assert refused.value.permanent


def test_a_damaged_wish_does_not_take_the_supervisor_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keeper = HubKeeper(folder_with(tmp_path, "not json"), Path("python"), grace_seconds=1)

    keeper.tick(0.0, lambda: (), {})
    keeper.tick(10.0, lambda: (), {})

    assert caplog.text.count("desired.json cannot be read") == 1


def test_a_wish_without_secrets_is_shown_as_failed_with_the_reason(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, WISH.model_dump_json())

    HubKeeper(folder, Path("python"), grace_seconds=1).tick(0.0, lambda: (), {})

    seen = folder.seen()
    assert seen is not None
    assert seen.state == "failed"
    assert "not with which spec" in seen.last_error


def test_a_part_that_fails_again_and_again_waits_longer_each_time() -> None:
    trouble, waits = Trouble(), []
    for now in range(1, 12):
        trouble.ended(float(now))
        waits.append(trouble.not_before - now)

    assert waits[:4] == [0, 1, 2, 4]
    assert max(waits) == 30

    trouble.started = 12.0
    trouble.ended(60.0)
    assert trouble.not_before == 60.0, "one that had run well may start again at once"


def test_one_root_has_one_supervisor_and_anybody_can_tell(tmp_path: Path) -> None:
    assert not is_supervised(tmp_path)
    with supervising(tmp_path) as first:
        started = time.monotonic()
        with supervising(tmp_path) as second:
            assert (first, second) == (True, False)
        assert time.monotonic() - started < 3
        assert is_supervised(tmp_path)
    assert not is_supervised(tmp_path)


def test_ports_are_three_free_ones_that_no_other_hub_was_promised() -> None:
    first = choose_ports("127.0.0.1", taken=[])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", first.public))
        listener.listen()

        promised = [port for port in range(21_000, 32_000) if port not in first.model_dump().values()][3:]
        second = choose_ports("127.0.0.1", taken=promised)

    assert first.public not in second.model_dump().values()
    assert not set(second.model_dump().values()) & set(promised)
    assert len(set(second.model_dump().values())) == 3
