"""A person at a browser, by keyboard: what the journeys share that run over a database of their own.

The portal runs in this process, so that a story can look into the outbox and hand a job its turn.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, ViewportSize

from tests.functional.looking import check

NARROW: ViewportSize = {"width": 320, "height": 640}
WIDE: ViewportSize = {"width": 1280, "height": 900}
FURTHEST = 250  # so many stops of the Tab key no page of ours has


@dataclass
class Window:
    """A page, what went wrong on it, and the keys that a person presses."""

    page: Page
    url: str
    journey: str
    problems: list[str] = field(default_factory=list)

    def note_problems(self) -> None:
        """Note every violation of the content security policy and every error of a script from now on."""
        self.page.on("console", lambda m: self.problems.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))

    def open(self, path: str) -> None:
        """Type an address; of a whole one, as mails have it, only the path counts."""
        parts = urlsplit(path)
        answer = self.page.goto(self.url + parts.path + (f"?{parts.query}" if parts.query else ""))
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"

    def looked_at(self, name: str, *, narrow: bool = True) -> None:
        """Axe, the console, one h1, and at 320 px no sideways scrolling of the page."""
        check(self, f"{self.journey} {name}")
        assert self.page.locator("h1").count() == 1, name
        if not narrow:
            return
        self.page.set_viewport_size(NARROW)
        width = self.page.evaluate("document.documentElement.scrollWidth")
        assert width <= NARROW["width"], f"{name} is {width} px wide on a phone of 320 px"
        self.page.set_viewport_size(WIDE)

    def refused(self) -> None:
        """Forget what Chromium says of an answer 422: it calls every such answer an error."""
        self.problems[:] = [each for each in self.problems if "422" not in each]

    def tab_to(self, target: Locator) -> None:
        """Press Tab until the target has the focus, past the head of the page first; one out of reach fails."""
        element = target.element_handle()
        if self.page.evaluate("document.activeElement === document.body"):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("document.activeElement.className.startsWith('skip-')"):
                self.page.keyboard.press("Enter")
        for _ in range(FURTHEST):
            if self.page.evaluate("element => element === document.activeElement", element):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"no press of Tab reaches {target}")

    def write(self, name: str, text: str) -> None:
        """Go to a field by Tab and write into it, over what stands there."""
        self.tab_to(self.page.locator(f"[name={name}]:not([type=hidden])"))
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def enter(self, target: Locator | None = None) -> None:
        """Press Enter, on the target where one is named, and wait for the page that follows."""
        if target is not None:
            self.tab_to(target)
        # Told from the page before by a mark on it: a form that is refused answers under the same address.
        self.page.evaluate("document.documentElement.dataset.left = ''")
        self.page.keyboard.press("Enter")
        self.page.locator("html:not([data-left])").wait_for(state="attached")
        self.page.wait_for_load_state()

    def follow(self, words: str) -> None:
        """Follow a link."""
        self.enter(self.named("link", words))

    def send(self, words: str) -> None:
        """Press a button that sends a form."""
        self.enter(self.named("button", words))

    def named(self, role: Literal["button", "link"], words: str) -> Locator:
        """The first button or link of the page's content whose name begins with the words."""
        return self.page.locator("main, #content").get_by_role(role, name=re.compile(f"^{re.escape(words)}")).first

    def download(self, link: Locator) -> tuple[str, bytes]:
        """Follow a link to a file; returns its name and its bytes."""
        self.tab_to(link)
        with self.page.expect_download() as waiting:
            self.page.keyboard.press("Enter")
        return waiting.value.suggested_filename, waiting.value.path().read_bytes()


@contextmanager
def window(browser: Browser, *, url: str, journey: str) -> Iterator[Window]:
    """Open a fresh browser; in the end nothing may have gone wrong in it."""
    context = browser.new_context(viewport=WIDE)
    context.set_default_timeout(15_000)
    opened = Window(context.new_page(), url, journey)
    opened.note_problems()
    yield opened
    assert opened.problems == [], opened.journey
    context.close()
