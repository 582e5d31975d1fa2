"""Journey "Month end" in a real browser, by keyboard: an exception, its fix, two people, a reload in the middle of it,
the invoices exactly, the same totals on page, PDF and XML, and a correction by credit note.

Last month's bill is 20,600.00 USD at 1.40: 20,000.00 of Cedar's hub, 500.00 of Maple's, 100.00 that no rule claims.
"""

import io
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from lxml import etree
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader

from billing.fx import record_rate
from billing.matching import MATCHED_VALUE, By, Destination, Kind, MatchRule
from billing.models import CreditNote, Invoice, InvoiceBalance
from billing.rules import add_rule
from consortium.kernel.audit import System
from consortium.kernel.clock import now
from consortium.kernel.periods import Month, local_month
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from consortium.usecases.import_bill import import_bill
from consortium.usecases.join import countersign
from members.agreements import sign_agreement
from members.models import Institution, Membership, Seat, StaffSeat, User
from members.onboarding import approve_application
from members.roles import StaffRole
from tests.cast import Cast, make_cast, make_person
from tests.functional.standing import PersonWindow, Standing, may_sign_in, person_window, press, stand
from tests.integration.billing.stories import CEDAR, MAPLE, bill_file, register
from tests.unit.members import story

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("one_thread_is_enough")]

SETTING_UP = System("test")
NEEDED = {"web", "worker", "sweeper"}


@dataclass(frozen=True)
class World:
    """Last month, with its two members, and the people who close it."""

    month: Month
    cast: Cast
    first: User
    second: User


@pytest.fixture
def world(committed_db: str, tmp_path: Path) -> World:
    """Cedar and Maple are members since last month; its bill is in."""
    zone = "America/Vancouver"
    month = local_month(now(), zone).previous()
    begin = datetime.combine(month.first_day, datetime.min.time(), ZoneInfo(zone)) + timedelta(hours=9)
    cast = make_cast(begin)
    with consortium_scope(Scope.COMMAND):
        Seat.objects.filter(role="owner").delete()
        Membership.objects.all().delete()
        register(cast.issuer)
        story.make_template(cast.issuer, begin)
        _join(cast, cast.university, cast.owner, month, begin, province="BC", legal_name="Cedar University")
        _join(cast, cast.other_university, cast.outsider, month, begin, province="QC", legal_name="Université Maple")
        last, rate = month.next().first_day - timedelta(days=1), Decimal("1.40")
        record_rate(base="USD", quote="CAD", on=last, rate=rate, source="Bank", by=SETTING_UP, at=begin)
        own = Destination(Kind.DIRECT, MATCHED_VALUE)
        tagged = MatchRule(By.TAG, own, tag_key="university", name="tagged")
        add_rule(issuer=cast.issuer, rule=tagged, by=SETTING_UP, at=begin)
        _take_the_bill_in(cast, month, tmp_path)
    people = [make_person(name, is_staff=True) for name in ("fay", "sol")]
    StaffSeat.objects.bulk_create(StaffSeat(user=each, role=StaffRole.FINANCE) for each in people)
    return World(month, cast, *people)


def _join(
    cast: Cast, institution: Institution, owner: User, month: Month, at: datetime, *, province: str, legal_name: str
) -> None:
    changes: dict[str, object] = {
        "legal_name": legal_name,
        "province": province,
        "postal_code": {"BC": "V6T 1Z4", "QC": "H3A 0G4"}[province],
        "finance_email": f"ap@{institution.slug}.example",
        "email_domains": [institution.domain],
        "po_required": False,
        "administrators": [{"name": owner.name, "email": owner.email, "role": "owner"}],
    }
    application = story.submitted(institution, by=owner, at=at, **changes)
    agreement = approve_application(application, starts_on=month.first_day, by=cast.staff, at=at)
    language = "fr" if province == "QC" else "en"
    sign_agreement(agreement, name="Alma", title="Vice-President", language=language, consent=True, by=owner, at=at)
    countersign(agreement, name="Sam Staff", title="Director", by=cast.staff, at=at)


def _take_the_bill_in(cast: Cast, month: Month, folder: Path) -> None:
    begin, end = (f"{each.first_day}T00:00:00Z" for each in (month, month.next()))
    cells = {"BillingPeriodStart": begin, "BillingPeriodEnd": end, "ChargePeriodStart": begin, "ChargePeriodEnd": end}
    rows = (("20000.00", CEDAR), ("500.00", MAPLE), ("100.00", ""))
    bill = bill_file(folder, *rows, **cells)
    import_bill(
        bill, issuer=cast.issuer, charged_month=str(month), by=SETTING_UP, at=now(), create_account=True, account="demo"
    )


@pytest.fixture
def standing(committed_db: str, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The portal over that world."""
    with stand(committed_db, tmp_path_factory.mktemp("standing"), NEEDED) as portal:
        yield portal


def test_a_month_is_closed_by_two_people_and_corrected_by_a_credit_note(
    standing: Standing, world: World, browser: Browser
) -> None:
    run = f"staff/billing/billingrun/icc/{world.month}/"
    fay, sol, owner = (person_window(browser, standing.url, "month-end") for _ in range(3))
    fay.sign_in(world.first, may_sign_in(world.first, second_factor=True))
    fix_what_the_preflight_finds(fay, run)
    prepare(fay, run, standing)
    approve_as_the_second(fay, sol, world, run, standing)
    invoices = the_invoices_are_exact(world)
    owner.sign_in(world.cast.owner, may_sign_in(world.cast.owner, second_factor=True))
    page_pdf_and_xml_agree(owner, invoices["cedar"])
    correct_by_credit_note(sol, owner, invoices["cedar"])
    for each in (fay, sol, owner):
        assert each.problems == []


def fix_what_the_preflight_finds(fay: PersonWindow, run: str) -> None:
    """100.00 USD that nobody would pay stops the month; a rule is written, tried and kept, the bill placed again."""
    page = fay.visit("staff/")
    fay.look("queue")
    page = fay.visit(run)
    expect(page.get_by_text("1 rows of 100.00 USD are claimed by no rule")).to_be_visible()
    expect(page.get_by_text("stops the month")).to_be_visible()
    fay.look("preflight")
    page = fay.visit("staff/billing/matchingrule/tools/write/")
    page.get_by_label("Name").fill("the rest is Cedar's")
    page.get_by_label("Looks at").select_option("everything")
    page.get_by_label("Goes to").select_option("direct")
    page.get_by_label("University or pool").fill("cedar")
    press(page, "button", "Try it, or keep it")
    expect(page.get_by_role("cell", name="100.00 USD")).to_be_visible()
    fay.look("rule")
    page.get_by_label("Keep the rule behind the others").press("Space")
    press(page, "button", "Try it, or keep it")
    expect(page.get_by_text("Bills can be placed again.")).to_be_visible()
    page = fay.visit("staff/billing/billimport/")
    page.locator("#result_list tbody th a").first.press("Enter")
    press(page, "link", "Place its rows again")
    fay.look("place")
    press(page, "button", "Place its rows again")
    expect(page.get_by_text("Place its rows again: ")).to_be_visible()
    page = fay.visit(run)
    expect(page.get_by_text("Nothing is missing")).to_be_visible()


def prepare(fay: PersonWindow, run: str, standing: Standing) -> None:
    """The drafts are made by a worker; the page says how far it is, reload or not."""
    standing.pause("worker", signal.SIGSTOP)
    page = fay.visit(run)
    press(page, "button", _prepare_button(page))
    panel = page.locator("#run-progress")
    expect(panel.get_by_text("Preparing the drafts")).to_be_visible()
    fay.look("preparing")
    page.reload()
    expect(panel.get_by_text("Preparing the drafts")).to_be_visible()
    standing.pause("worker", signal.SIGCONT)
    expect(page.get_by_text("run 1 is prepared")).to_be_visible(timeout=60_000)


def _prepare_button(page: Page) -> str:
    return str(page.locator("input[type=submit][value^=Prepare]").get_attribute("value"))


def approve_as_the_second(fay: PersonWindow, sol: PersonWindow, world: World, run: str, standing: Standing) -> None:
    """Cedar's invoice is so large that its preparer may not let it out; another person types the total."""
    expect(fay.page.get_by_text("another person than its preparer must approve it")).to_be_visible()
    fay.look("prepared")
    sol.sign_in(world.second, may_sign_in(world.second, second_factor=True))
    page = sol.visit(run)
    page.get_by_label("Type the total of the run").fill("1.00 CAD")
    press(page, "button", "Approve and issue")
    expect(page.locator(".errorlist")).to_be_visible()
    sol.problems[:] = [each for each in sol.problems if "422" not in each]
    sol.look("wrong-total")
    standing.pause("worker", signal.SIGSTOP)
    page.get_by_label("Type the total of the run").fill(f"{_sum(world)} CAD")
    press(page, "button", "Approve and issue")
    panel = page.locator("#run-progress")
    expect(panel.get_by_text("Issuing the invoices")).to_be_visible()
    page.reload()
    expect(panel.get_by_text("Issuing the invoices")).to_be_visible()
    sol.look("issuing")
    standing.pause("worker", signal.SIGCONT)
    expect(page.get_by_text("the month is closed")).to_be_visible(timeout=90_000)
    sol.look("closed")


def _sum(world: World) -> Decimal:
    with consortium_scope(Scope.COMMAND):
        totals = Invoice.objects.filter(period__month=str(world.month)).values_list("total", flat=True)
        return sum(totals, Decimal(0))


def the_invoices_are_exact(world: World) -> dict[str, Invoice]:
    """Two invoices, numbered without a gap, issued by one job each of preparing and issuing."""
    with consortium_scope(Scope.COMMAND):
        rows = Invoice.objects.filter(period__month=str(world.month)).select_related("institution")
        found = {each.institution.slug: each for each in rows.order_by("number")}
        assert rows.count() == len(found) == 2
        assert [str(each.number)[-6:] for each in found.values()] == ["000001", "000002"]
        assert {each.status for each in found.values()} == {"issued"}
        assert set(Job.objects.filter(kind="close_period").values_list("state", flat=True)) == {"succeeded"}
        return found


def page_pdf_and_xml_agree(owner: PersonWindow, invoice: Invoice) -> None:
    """What the owner sees on the page is what the PDF and the XML say."""
    path = f"i/cedar/invoices/{invoice.pk}/"
    page = owner.visit(path)
    total = f"{invoice.total:,.2f}\N{NO-BREAK SPACE}CAD"
    expect(page.locator(".stat", has_text="Total").first).to_contain_text(total)
    owner.look("invoice", path)
    page = owner.visit(path)
    pdf = _fetched(page, "PDF")
    text = "\n".join(each.extract_text() for each in PdfReader(io.BytesIO(pdf)).pages).replace("\xa0", " ")
    assert f"{invoice.total:,.2f}" in text
    assert str(invoice.number) in text
    xml = etree.fromstring(_fetched(page, "XML (UBL 2.1)"))
    payable = xml.xpath("//*[local-name()='PayableAmount']")[0]
    assert (payable.text, payable.get("currencyID")) == (str(invoice.total), "CAD")


def _fetched(page: Page, link: str) -> bytes:
    address = page.get_by_role("link", name=link, exact=True).first.get_attribute("href")
    assert address is not None
    answer = page.request.get(address if address.startswith("http") else page.url.split("/en/")[0] + address)
    assert answer.ok
    return answer.body()


def correct_by_credit_note(sol: PersonWindow, owner: PersonWindow, invoice: Invoice) -> None:
    """The 140.00 CAD that were not Cedar's come back by a credit note; the invoice stays as it was."""
    page = sol.visit(f"staff/billing/invoice/{invoice.pk}/change/")
    press(page, "link", "Credit")
    page.get_by_label("Reason, which the member reads").fill("The untagged rows were not yours.")
    direct = page.get_by_label("before tax").or_(page.locator("input[name^=line_]"))
    for index in range(direct.count()):
        direct.nth(index).fill("140.00" if index == 0 else "")
    press(page, "button", "Preview")
    sol.look("credit")
    credited = page.get_by_role("row", name="Credited").get_by_role("cell").inner_text().split("\xa0")[0]
    page.get_by_label("Type what is credited").fill(credited)
    press(page, "button", "Issue the credit note")
    expect(page.get_by_text("is issued.")).to_be_visible()
    with consortium_scope(Scope.COMMAND):
        note, balance = CreditNote.objects.get(), InvoiceBalance.objects.get(pk=invoice.pk)
        assert note.total == balance.credited == Decimal(credited)
        assert balance.total == invoice.total
    path = f"i/cedar/invoices/{invoice.pk}/"
    page = owner.visit(path)
    expect(page.get_by_role("cell", name="The untagged rows were not yours.")).to_be_visible()
    left = f"{invoice.total - note.total:,.2f}\N{NO-BREAK SPACE}CAD"
    expect(page.locator(".stat", has_text="Left to pay")).to_contain_text(left)
    owner.look("credited", path)
