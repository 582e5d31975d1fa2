"""The page of promises names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "reference" / "promises.md"


def test_every_promise_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number, _words in rows] == list(range(1, 26))
    for number, words in rows:
        named = re.findall(r"`((?:[a-z_]+/)*test_[a-z_]+\.py)`", words)
        assert named, f"promise {number} names no test"
        folder = ROOT / "tests" / "integration" / "billing"
        for name in named:
            places = [ROOT / name, folder / name, ROOT / "tests" / "unit" / "billing" / name]
            assert any(place.is_file() for place in places), f"promise {number}: there is no {name}"
