"""Journey "Hub" in a real browser, by keyboard: request, approve, watch, a killed worker, the real hub, cut off.

Every process is the real one (web, Celery worker, sweeper, meter, hub supervisor), over a database of the test's own;
the two clocks that people would wait for, the silence of a stalled job and the meter's interval, are set short by their
settings.
"""

import signal
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from consortium.kernel.clock import now
from consortium.kernel.periods import local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Job, OutgoingMail
from members.agreements import countersign_agreement, sign_agreement
from members.models import Membership, Seat
from members.onboarding import approve_application
from provisioning.catalogue import load_catalogue
from provisioning.gateways.base import HubTarget
from provisioning.gateways.local.driver import LocalDriver
from provisioning.models import Hub
from tests.cast import Cast, make_cast
from tests.functional.standing import PersonWindow, Standing, may_sign_in, person_window, press, stand
from tests.unit.members import story

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("one_thread_is_enough")]

NEEDED = {"web", "hubs", "worker", "sweeper", "meter"}
SILENCE, INTERVAL = 5, 1
TARGET = HubTarget(slug="cedar-statistics-2026", generation=1)
HUB = f"i/cedar/hubs/{TARGET.slug}/"


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
    may_sign_in(cast.technical, second_factor=False)
    return cast


@pytest.fixture
def standing(committed_db: str, cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The processes of the portal, whose clocks run fast."""
    clocks = {"SAMPLE_INTERVAL_SECONDS": str(INTERVAL), "STALLED_AFTER_SECONDS": str(SILENCE)}
    with stand(committed_db, tmp_path_factory.mktemp("standing"), NEEDED, **clocks) as portal:
        yield portal


def test_a_hub_is_requested_approved_watched_through_a_crash_opened_and_cut_off(
    standing: Standing, cast: Cast, browser: Browser
) -> None:
    theo = person_window(browser, standing.url, "hub")
    theo.sign_in(cast.technical)
    request_it(theo)
    # The place takes orders and does nothing yet, so that the worker waits in the middle of its work.
    standing.pause("hubs", signal.SIGSTOP)
    secret = may_sign_in(cast.staff, second_factor=True)
    approve_it(person_window(browser, standing.url, "hub"), cast, secret)
    watch_the_worker_die(theo, standing)
    open_it(person_window(browser, standing.url, "hub"), theo.page, standing, cast)
    cut_it_off(theo, standing)
    assert theo.problems == []


def request_it(theo: PersonWindow) -> None:
    """Leave a field out, read why, mend it, send it."""
    page = theo.visit("i/cedar/hubs/request/")
    theo.look("request", "i/cedar/hubs/request/")
    page = theo.visit("i/cedar/hubs/request/")
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


def approve_it(sam: PersonWindow, cast: Cast, secret: str) -> None:
    """Staff find the request, read what will happen, and approve."""
    sam.sign_in(cast.staff, secret)
    page = sam.visit("staff/provisioning/hub/")
    press(page, "link", TARGET.slug)
    press(page, "link", "Approve and set up")
    expect(page.get_by_text("Second-year statistics")).to_be_visible()
    sam.look("approve")
    press(page, "button", "Approve and set up")
    expect(page.get_by_text("Approve and set up: ")).to_be_visible()
    assert sam.problems == []
    page.context.close()


def watch_the_worker_die(theo: PersonWindow, standing: Standing) -> None:
    """The page goes on by itself: running, stalled once the worker is dead, finished when another one took over."""
    page = theo.visit(HUB)
    panel = page.locator("#hub-progress")
    expect(panel.get_by_text("Running", exact=True)).to_be_visible()
    expect(panel.locator("[aria-current=step]")).to_contain_text("Start the hub", timeout=20_000)
    theo.look("running")
    standing.processes.hold("worker")
    expect(panel.get_by_text("Stalled", exact=True)).to_be_visible(timeout=(SILENCE + 10) * 1000)
    expect(panel.get_by_text("Work goes on by itself when the worker is back")).to_be_visible()
    theo.look("stalled", HUB)
    page = theo.visit(HUB)
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


def open_it(student: PersonWindow, page: Page, standing: Standing, cast: Cast) -> None:
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
    assert (mail.recipient, address in mail.body) == (cast.technical.email, True)


def cut_it_off(theo: PersonWindow, standing: Standing) -> None:
    """Nobody reaches the hub any more: its page says so, and since when."""
    standing.processes.hold("hubs")
    page = theo.visit(HUB)
    for _ in range(30):
        if page.get_by_text("The hub does not answer").count():
            break
        page.wait_for_timeout(500)
        page = theo.visit(HUB)
    notice = page.locator(".notice", has_text="The hub does not answer")
    expect(notice).to_contain_text("Unreachable since")
    expect(notice.locator("time").first).to_be_visible()
    expect(page.get_by_text("Use is not counted while it cannot be seen.")).to_be_visible()
    theo.look("unreachable", HUB)
    expect(page.get_by_text("Injoignable depuis")).to_be_visible()
