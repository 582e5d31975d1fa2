"""Journey "Hub" in a real browser, by keyboard: request, approve, watch, a killed worker, the real hub, cut off.

Every process is the real one (web, Celery worker, sweeper, meter, hub supervisor), over a database of the test's own;
the two clocks that people would wait for, the silence of a stalled job and the meter's interval, are set short by their
settings.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import settings
from playwright.sync_api import Browser, Page, expect

from consortium.embedded.guardian import new_run_id
from consortium.embedded.ports import free_port
from consortium.embedded.supervisor import Supervisor
from consortium.kernel.clock import now
from consortium.kernel.periods import local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.demo.processes import all_processes
from consortium.models import AuditEvent, Job, OutgoingMail
from members.agreements import countersign_agreement, sign_agreement
from members.models import Membership, Seat, User
from members.onboarding import approve_application
from provisioning.catalogue import load_catalogue
from provisioning.gateways.base import HubTarget
from provisioning.gateways.local.driver import LocalDriver
from provisioning.models import Hub
from tests.cast import PASSWORD, Cast, make_cast
from tests.functional.conftest import totp
from tests.functional.looking import check
from tests.unit.members import story

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NEEDED = {"web", "hubs", "worker", "sweeper", "meter"}
SILENCE, INTERVAL = 5, 1
TARGET = HubTarget(slug="cedar-statistics-2026", generation=1)
HUB = f"i/cedar/hubs/{TARGET.slug}/"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 320, "height": 640}


@pytest.fixture(scope="module", autouse=True)
def one_thread_is_enough() -> Iterator[None]:
    """Playwright keeps an event loop in the thread of the test, which Django would refuse; nothing runs in it here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


@dataclass
class Standing:
    """A portal that runs, as processes of its own, and who may sign in to it."""

    url: str
    home: Path
    processes: Supervisor
    cast: Cast
    staff_secret: str

    def pause(self, name: str, number: signal.Signals) -> None:
        """Stop a process where it is, or let it go on."""
        pid = self.processes.pid(name)
        assert pid is not None
        os.kill(pid, number)


@pytest.fixture
def cast(committed_db: str) -> Cast:
    """Cedar with an agreement in force from today; Theo the technical person and Sam of the staff can sign in."""
    at = now()
    cast = make_cast(at - timedelta(days=30))
    with consortium_scope(Scope.COMMAND):
        Seat.objects.filter(institution=cast.university, role="owner").delete()
        Membership.objects.filter(institution=cast.university).delete()
        story.make_template(cast.issuer, at)
        application = story.submitted(cast.university, by=cast.owner, at=at)
        today = local_date(at, cast.university.zone)
        agreement = approve_application(application, starts_on=today, by=cast.staff, at=at)
        words = {"name": "Alma Cedar", "title": "Vice-President", "language": "en", "consent": True}
        sign_agreement(agreement, **words, by=cast.owner, at=at)  # type: ignore[arg-type] # a mixed dictionary
        countersign_agreement(agreement, name="Sam Staff", title="Director", by=cast.staff, at=at)
        load_catalogue(at)
    for user in (cast.technical, cast.staff):
        user.set_password(PASSWORD)
        user.save(update_fields=["password"])
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return cast


@pytest.fixture
def standing(cast: Cast, committed_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The processes of the portal; none is left when the test ends."""
    home, port = tmp_path_factory.mktemp("standing"), free_port()
    secret = generate_totp_secret()
    TOTP.activate(cast.staff, secret)
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "DATABASE_URL": urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{committed_db}")),
        "PORTAL_HOME": str(home),
        "PUBLIC_URL": url,
        "HUB_PYTHON": str(settings.HUB_PYTHON),
        "SAMPLE_INTERVAL_SECONDS": str(INTERVAL),
        "STALLED_AFTER_SECONDS": str(SILENCE),
    }
    wanted = [each for each in all_processes(home, port) if each.name in NEEDED]
    children = [replace(each, env=environment) for each in wanted]
    # What the kernel does to a worker that takes too much memory: no farewell.
    children = [replace(each, stop_signal=signal.SIGKILL) if each.name == "worker" else each for each in children]
    with Supervisor(children, run_id=new_run_id(), log_dir=home / "logs") as processes:
        processes.wait_ready("web")
        yield Standing(url, home, processes, cast, secret)


@dataclass
class Window:
    """A page, and what went wrong on it."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)

    def open(self, path: str, language: str = "en") -> Page:
        """Go to a path of the portal, which must answer well."""
        response = self.page.goto(f"{self.url}/{language}/{path}")
        assert response is not None
        assert response.status == 200, path
        return self.page

    def look(self, name: str, *paths: str) -> None:
        """Axe, the console and a phone's width: this page, then `paths` in French."""
        for each in ("", *paths):
            if each:
                self.open(each, "fr")
            check(self, f"hub {name}{'-fr' if each else ''}")  # type: ignore[arg-type] # has what it uses
            self.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
            assert self.page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], name
            self.page.set_viewport_size(WIDE)  # type: ignore[arg-type]

    def sign_in(self, user: User, secret: str = "") -> None:
        """Sign in on the page, with the second factor where one is asked for."""
        page = self.open("accounts/login/")
        page.locator("input[name=login]").fill(user.email)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("input[name=password]").press("Enter")
        if secret:
            page.locator("input[name=code]").fill(totp(secret))
            page.locator("input[name=code]").press("Enter")
        page.wait_for_url(lambda url: "/accounts/" not in url)


def window(browser: Browser, url: str) -> Window:
    """A fresh browser."""
    page = browser.new_context(viewport=WIDE).new_page()  # type: ignore[arg-type] # a dictionary of that shape
    opened = Window(page, url)
    page.on("console", lambda m: opened.problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: opened.problems.append(str(error)))
    return opened


def press(page: Page, role: str, name: str) -> None:
    """Use a button or a link by keyboard."""
    page.get_by_role(role, name=name, exact=True).first.press("Enter")  # type: ignore[arg-type] # one of two words


def test_a_hub_is_requested_approved_watched_through_a_crash_opened_and_cut_off(
    standing: Standing, browser: Browser
) -> None:
    theo = window(browser, standing.url)
    theo.sign_in(standing.cast.technical)
    request_it(theo)
    # The place takes orders and does nothing yet, so that the worker waits in the middle of its work.
    standing.pause("hubs", signal.SIGSTOP)
    approve_it(window(browser, standing.url), standing)
    watch_the_worker_die(theo, standing)
    open_it(window(browser, standing.url), theo.page, standing)
    cut_it_off(theo, standing)
    assert theo.problems == []


def request_it(theo: Window) -> None:
    """Leave a field out, read why, mend it, send it."""
    page = theo.open("i/cedar/hubs/request/")
    theo.look("request", "i/cedar/hubs/request/")
    page = theo.open("i/cedar/hubs/request/")
    page.get_by_label("Name of the hub").fill("Statistics 2026")
    page.get_by_label("Sign-in names for the trial").fill("ada\ngrace")
    page.get_by_label("People you expect").fill("60")
    expect(page.locator("#hub-preview")).to_contain_text("60 people at the prices in your agreement.")
    expect(page.get_by_label("People you expect")).to_be_focused()
    theo.look("request-typed")
    press(page, "button", "Review request")
    expect(page.locator(".error-summary")).to_be_focused()
    theo.problems[:] = [each for each in theo.problems if "422" not in each]
    theo.look("request-error")
    page.get_by_label("What it is for").fill("Second-year statistics")
    press(page, "button", "Review request")
    expect(page.get_by_role("heading", name="Check your request")).to_be_visible()
    theo.look("review")
    press(page, "button", "Send the request")
    page.wait_for_url(f"**/{HUB}")
    expect(page.get_by_text("Waiting for approval")).to_be_visible()
    theo.look("waiting", HUB)


def approve_it(sam: Window, standing: Standing) -> None:
    """Staff find the request, read what will happen, and approve."""
    sam.sign_in(standing.cast.staff, standing.staff_secret)
    page = sam.open("staff/provisioning/hub/")
    press(page, "link", TARGET.slug)
    press(page, "link", "Approve and set up")
    expect(page.get_by_text("Second-year statistics")).to_be_visible()
    sam.look("approve")
    press(page, "button", "Approve and set up")
    expect(page.get_by_text("Approve and set up: ")).to_be_visible()
    assert sam.problems == []
    page.context.close()


def watch_the_worker_die(theo: Window, standing: Standing) -> None:
    """The page goes on by itself: running, stalled once the worker is dead, finished when another one took over."""
    page = theo.open(HUB)
    panel = page.locator("#hub-progress")
    expect(panel.get_by_text("Running", exact=True)).to_be_visible()
    expect(panel.locator("[aria-current=step]")).to_contain_text("Start the hub", timeout=20_000)
    theo.look("running")
    standing.processes.hold("worker")
    expect(panel.get_by_text("Stalled", exact=True)).to_be_visible(timeout=(SILENCE + 10) * 1000)
    expect(panel.get_by_text("Work goes on by itself when the worker is back")).to_be_visible()
    theo.look("stalled", HUB)
    page = theo.open(HUB)
    standing.pause("hubs", signal.SIGCONT)
    standing.processes.release("worker")
    expect(panel.get_by_text("Finished", exact=True)).to_be_visible(timeout=60_000)
    expect(panel.locator(".step-done")).to_have_count(6)
    theo.look("finished")
    it_was_made_once(standing)


def it_was_made_once(standing: Standing) -> None:
    """One job of two starts, one hub, one event, one mail."""
    with consortium_scope(Scope.COMMAND):
        hub, job = Hub.objects.get(), Job.objects.get(kind="reconcile_hub")
        ready = AuditEvent.objects.filter(action="provisioning.hub_ready").count()
    assert (hub.status, hub.observed_generation, job.state, job.attempts, ready) == ("running", 1, "succeeded", 2, 1)
    assert [path.parent.name for path in standing.home.glob("hubs/*/desired.json")] == [TARGET.slug]


def open_it(student: Window, page: Page, standing: Standing) -> None:
    """The button leads to the real hub, where a student signs in and gets a server."""
    address = page.get_by_role("link", name="Open the hub").first.get_attribute("href")
    assert address is not None
    hub = student.page
    hub.goto(address)
    hub.locator("input[name=username]").fill("grace")
    hub.locator("input[name=password]").fill(LocalDriver(standing.home / "hubs").passwords(TARGET)["grace"])
    hub.locator("input[name=password]").press("Enter")
    hub.wait_for_url("**/user/grace/**", timeout=40_000)
    hub.context.close()
    with consortium_scope(Scope.COMMAND):
        mail = OutgoingMail.objects.get(template="provisioning_hub_ready")
    assert (mail.recipient, address in mail.body) == (standing.cast.technical.email, True)


def cut_it_off(theo: Window, standing: Standing) -> None:
    """Nobody reaches the hub any more: its page says so, and since when."""
    standing.processes.hold("hubs")
    page = theo.open(HUB)
    for _ in range(30):
        if page.get_by_text("The hub does not answer").count():
            break
        page.wait_for_timeout(500)
        page = theo.open(HUB)
    notice = page.locator(".notice", has_text="The hub does not answer")
    expect(notice).to_contain_text("Unreachable since")
    expect(notice.locator("time").first).to_be_visible()
    expect(page.get_by_text("Use is not counted while it cannot be seen.")).to_be_visible()
    theo.look("unreachable", HUB)
    expect(page.get_by_text("Injoignable depuis")).to_be_visible()
