"""What the tests of the demonstration do with a page and with a process."""

import os
import subprocess
from pathlib import Path
from typing import Protocol

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.functional.conftest import ROOT, Visitor


def portal(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [str(ROOT / "portal"), *words],
        cwd=ROOT,
        env=keep | {"PORTAL_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def bears(folder: Path, mark: bytes) -> bool:
    try:
        return mark in (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def address(visitor: Visitor, page: str) -> str:
    """Fill in the parts of an address that only the demonstration knows, from the links of a page."""
    if not page.startswith("{"):
        return page
    where, pattern = {
        "{hub}": ("i/uvic/", "/i/uvic/hubs/"),
        "{agreement}": ("i/uvic/", "/i/uvic/agreements/"),
        "{invoice}": ("i/uvic/invoices/", "/i/uvic/invoices/"),
    }[page]
    visitor.open(f"/en/{where}")
    links = visitor.page.eval_on_selector_all("main a", "links => links.map(link => link.getAttribute('href'))")
    found = [link for link in links if link and pattern in link and "request" not in link and link.endswith("/")]
    assert found, f"no link with {pattern} on {where}"
    return str(found[0]).removeprefix("/en/")


class Looked(Protocol):
    """A window whose problems are noted."""

    page: Page
    problems: list[str]


def check(visitor: Looked, name: str) -> None:
    """Axe finds nothing; nothing was reported to the console; a picture is kept where one is wanted."""
    found = Axe().run(visitor.page, options={"resultTypes": ["violations"]})  # of what is well, not every element
    assert found.violations_count == 0, f"{name}\n{found.generate_report()}"
    assert visitor.problems == [], name
    if folder := os.environ.get("PORTAL_SCREENSHOTS"):
        file = Path(folder) / f"{name.strip('/').replace('/', '_') or 'home'}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        visitor.page.screenshot(path=file, full_page=True)
