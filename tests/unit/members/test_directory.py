"""The shipped directory: real universities, loaded once, refreshed without doubling."""

import csv
from datetime import datetime
from pathlib import Path

import pytest

from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden
from consortium.kernel.periods import zone
from members.directory import SHIPPED, DirectoryLoad, load_directory, read_directory
from members.models import Institution
from members.queries import search_institutions
from tests.cast import Cast
from tests.conftest import SHARED_DATA


@pytest.mark.usefixtures("scope")
def test_loading_twice_changes_nothing(at: datetime) -> None:
    assert load_directory(by=System("test"), at=at) == DirectoryLoad(39, 0, 0)
    assert load_directory(by=System("test"), at=at) == DirectoryLoad(0, 0, 39)
    Institution.objects.filter(slug="mun").update(zone="America/Toronto")
    assert load_directory(by=System("test"), at=at) == DirectoryLoad(0, 1, 38)
    assert Institution.objects.get(slug="mun").zone == "America/St_Johns"


@pytest.mark.usefixtures("scope")
def test_only_staff_and_programs_load_it(cast: Cast, at: datetime) -> None:
    with pytest.raises(Forbidden):
        load_directory(by=cast.owner, at=at)


def test_every_zone_exists_and_every_slug_and_ror_is_its_own() -> None:
    rows = read_directory()
    assert len({row["slug"] for row in rows}) == len({row["ror"] for row in rows}) == 39
    for row in rows:
        zone(row["zone"])
    zones = {row["slug"]: row["zone"] for row in rows}
    assert (zones["mun"], zones["usask"], zones["ubc"]) == ("America/St_Johns", "America/Regina", "America/Vancouver")


def test_the_facts_are_those_that_were_given() -> None:
    source = SHARED_DATA / "canadian-institutions.csv"
    if not source.exists():
        pytest.skip(f"the public directory is not beside this checkout ({source.name})")
    ours = [{k: v for k, v in row.items() if k not in ("slug", "zone")} for row in _rows(SHIPPED)]
    assert ours == _rows(source)


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize(
    ("text", "found"),
    [("colombie", "ubc"), ("st. john", "mun"), ("sherbrooke", "usherbrooke"), ("MCGILL", "mcgill"), ("sfu.ca", "sfu")],
)
def test_a_university_is_found_by_name_in_either_language_city_or_domain(at: datetime, text: str, found: str) -> None:
    load_directory(by=System("test"), at=at)
    assert found in {institution.slug for institution in search_institutions(text)}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
