"""Journey "Finance" in a real browser, by keyboard, in both languages: a link without a session, the other language,
the PDF, a double click that pays once, a bank file that is imported twice and matched once, receipts, a zero statement,
a part of the card's payment given back.

Cedar pays its invoice by card, Maple (in French) by a transfer whose reference has a slip.
"""

import io
import re
from collections.abc import Iterator
from datetime import UTC, timedelta
from decimal import Decimal
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader

from billing.accounts import Payer, open_billing_account
from billing.closing import allocate_pools, begin_closing, draft_invoices
from billing.invoicing import approve_invoices, issue_invoices
from billing.models import BankAccount, BankLine, BankMatch, Invoice, Payment, Refund
from billing.periods import open_period
from consortium.kernel.clock import now
from consortium.kernel.periods import local_month
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast, make_cast
from tests.functional.standing import PersonWindow, Standing, may_sign_in, person_window, press, stand
from tests.integration.billing.stories import RUN, facts, register

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("one_thread_is_enough")]

NEEDED = {"web", "worker", "sweeper", "stripe"}
NUMBER = "000100112233445566"


@pytest.fixture
def cast(committed_db: str) -> Cast:
    """Cedar and Maple have their invoices of last month."""
    at = now()
    cast = make_cast(at - timedelta(days=90))
    month = local_month(at, cast.issuer.zone).previous()
    with consortium_scope(Scope.COMMAND):
        register(cast.issuer)
        for institution, language in ((cast.university, "en"), (cast.other_university, "fr")):
            payer = Payer(
                name=institution.name,
                address="1 Campus Road",
                email=f"ap@{institution.slug}.example",
                province="BC",
                language=language,
            )
            open_billing_account(institution=institution, issuer=cast.issuer, payer=payer, by=RUN, at=at)
        members = [
            facts(each, dues="12000.00", joined=month.first_day, memory="1", users=30)
            for each in (cast.university, cast.other_university)
        ]
        period = open_period(cast.issuer, str(month))
        begin_closing(period, members, by=RUN, at=at)
        allocate_pools(period, members, at=at)
        drafts = draft_invoices(period, members, by=RUN, at=at)
        approve_invoices(drafts, by=RUN, at=at)
        issue_invoices(drafts, by=RUN, at=at)
        BankAccount.objects.create(issuer=cast.issuer, name="Operating account", number=NUMBER, currency="CAD")
    return cast


@pytest.fixture
def standing(committed_db: str, cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The portal, and a payment provider, over that world."""
    with stand(committed_db, tmp_path_factory.mktemp("standing"), NEEDED) as portal:
        yield portal


def test_one_invoice_is_paid_by_card_and_one_by_transfer(
    standing: Standing, cast: Cast, browser: Browser, tmp_path: Path
) -> None:
    clerk, comptable, sam, fin = (person_window(browser, standing.url, "finance") for _ in range(4))
    cedar, maple = invoice_of("cedar"), invoice_of("maple")
    open_the_link(clerk, standing, cedar, "en")
    pay_by_card_with_a_double_click(clerk, cedar)
    open_the_link(comptable, standing, maple, "fr")
    sam.sign_in(cast.staff, may_sign_in(cast.staff, second_factor=True))
    import_the_file_twice(sam, maple, tmp_path)
    accept_the_match(sam, maple)
    see_the_receipt(comptable)
    fin.sign_in(cast.finance, may_sign_in(cast.finance, second_factor=True))
    the_statement_is_zero(fin)
    give_a_part_back(sam, cedar)
    see_the_refund(clerk, fin, cedar)
    for each in (clerk, comptable, sam, fin):
        assert each.problems == []


def invoice_of(slug: str) -> Invoice:
    """The member's invoice."""
    with consortium_scope(Scope.COMMAND):
        return Invoice.objects.select_related("institution").get(institution__slug=slug)


def mailed_link(standing: Standing, invoice: Invoice, page: Page) -> str:
    """The pay link as the payer's mail program shows it; the portal itself keeps only its hash."""
    recipient = f"ap@{invoice.institution.slug}.example"
    for _ in range(240):
        for file in sorted((standing.home / "mail").glob("*.log")):
            for part in file.read_bytes().split(b"-" * 79):
                mail = message_from_bytes(part.strip(), policy=default)
                body = mail.get_body(("plain",)) if mail["To"] == recipient else None
                if body and (found := re.search(r"https?://[^/ ]+/../pay/[\w-]+/", body.get_content())):
                    return found.group()
        page.wait_for_timeout(250)
    raise AssertionError(f"no mail with a link reached {recipient}")


def open_the_link(payer: PersonWindow, standing: Standing, invoice: Invoice, language: str) -> None:
    """The link of the invoice's mail opens without a session; the other language is one click away; the PDF opens."""
    page = payer.page
    page.goto(mailed_link(standing, invoice, page))
    assert f"/{language}/pay/" in page.url
    expect(page.locator("h1")).to_contain_text(str(invoice.number))
    payer.look(f"pay-{language}")
    other = {"en": "Français", "fr": "English"}[language]
    press(page, "link", other)
    page.wait_for_url(lambda url: f"/{language}/" not in url)
    payer.look(f"pay-{language}-other")
    pdf = page.request.get(_href(page, re.compile("PDF")))
    text = "".join(each.extract_text() for each in PdfReader(io.BytesIO(pdf.body())).pages)
    assert str(invoice.number) in text
    page.go_back()


def _href(page: Page, words: re.Pattern[str]) -> str:
    address = page.locator("main").get_by_role("link", name=words).first.get_attribute("href")
    assert address is not None
    return "/".join(page.url.split("/")[:3]) + address


def pay_by_card_with_a_double_click(clerk: PersonWindow, invoice: Invoice) -> None:
    """However often the button is pressed, there is one payment; the page says so, and the receipt is there."""
    page = clerk.page
    page.get_by_role("button", name="Choose how to pay").dblclick()
    page.locator("#number").fill("4242 4242 4242 4242")
    page.locator("#number").press("Enter")
    page.wait_for_url("**/pay/**")
    receipt = page.get_by_role("link", name=re.compile("Receipt for"))
    expect(receipt).to_be_visible(timeout=60_000)
    clerk.look("paid")
    assert page.request.get(_href(page, re.compile("Receipt for"))).body().startswith(b"%PDF")
    with consortium_scope(Scope.COMMAND):
        (payment,) = Payment.objects.filter(invoice=invoice)
        assert (payment.status, payment.amount) == ("succeeded", invoice.total)


def import_the_file_twice(sam: PersonWindow, maple: Invoice, folder: Path) -> None:
    """The second time nothing is new."""
    file = folder / "camt053.xml"
    file.write_bytes(statement(maple))
    for words in ("1 new lines, 0 known already", "0 new lines, 1 known already"):
        page = sam.visit("staff/billing/bankline/tools/bring/")
        page.get_by_label("Account").select_option(index=1)
        page.get_by_label("Statement").set_input_files(file)
        page.get_by_label("Only look into it").press("Space")
        press(page, "button", "Go on")
        expect(page.get_by_text(words)).to_be_visible()
    sam.look("imported")
    with consortium_scope(Scope.COMMAND):
        assert BankLine.objects.count() == 1


def statement(invoice: Invoice) -> bytes:
    """One credit, for all of the invoice; its reference has a letter O for a zero."""
    total, text = invoice.total, str(invoice.number).replace("0", "O", 1)
    balances = "".join(
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="CAD">{amount}</Amt>'
        "<CdtDbtInd>CRDT</CdtDbtInd></Bal>"
        for code, amount in (("OPBD", Decimal("10.00")), ("CLBD", total + 10))
    )
    day = now().astimezone(UTC).date() - timedelta(days=1)
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Id>S-1</Id>'
        f"<Acct><Id><Othr><Id>{NUMBER}</Id></Othr></Id><Ccy>CAD</Ccy></Acct>{balances}"
        f'<Ntry><Amt Ccy="CAD">{total}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>'
        f"<BookgDt><Dt>{day}</Dt></BookgDt><AcctSvcrRef>B-1</AcctSvcrRef><NtryDtls><TxDtls><RltdPties><Dbtr><Pty>"
        f"<Nm>Maple University</Nm></Pty></Dbtr></RltdPties><RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls>"
        "</Ntry></Stmt></BkToCstmrStmt></Document>"
    ).encode()


def accept_the_match(sam: PersonWindow, maple: Invoice) -> None:
    """The likeliest invoice stands first, with the reason; one press matches it, once."""
    page = sam.visit("staff/billing/bankline/")
    page.locator("#result_list tbody th a").first.press("Enter")
    expect(page.get_by_text(str(maple.number)).first).to_be_visible()
    sam.look("reconcile")
    page.get_by_role("button", name=re.compile(f"Accept.*{maple.number}")).first.press("Enter")
    expect(page.get_by_text("is matched")).to_be_visible()
    with consortium_scope(Scope.COMMAND):
        (match,) = BankMatch.objects.all()
        assert (match.amount, Invoice.objects.get(pk=maple.pk).status) == (maple.total, "paid")


def see_the_receipt(comptable: PersonWindow) -> None:
    """The payer's page says it in French, with the receipt."""
    page = comptable.page
    receipt = page.get_by_role("link", name=re.compile("^Reçu"))
    for _ in range(60):
        page.reload()
        if receipt.count():
            break
        page.wait_for_timeout(500)
    expect(receipt).to_be_visible()
    comptable.look("paid-fr")


def the_statement_is_zero(fin: PersonWindow) -> None:
    """Cedar's statement of account: nothing is owed."""
    page = fin.visit("i/cedar/invoices/")
    press(page, "link", "Statement")
    expect(page.get_by_text(re.compile(r"\b0\.00.CAD")).first).to_be_visible()
    fin.look("statement")


def give_a_part_back(sam: PersonWindow, cedar: Invoice) -> None:
    """Staff see what it does before they type the amount once more; it goes out once."""
    with consortium_scope(Scope.COMMAND):
        payment = Payment.objects.get(invoice=cedar, status="succeeded")
    page = sam.visit(f"staff/billing/payment/{payment.pk}/refund/")
    page.get_by_label("Amount to give back").fill("100.00")
    page.get_by_label("Why, as the payer reads it").fill("Two of the users were ours.")
    press(page, "button", "Preview")
    expect(page.get_by_text("Goes out at once")).to_be_visible()
    sam.look("refund")
    page.get_by_label("Type the amount once more").fill("100.00")
    press(page, "button", "Give it back")
    expect(page.get_by_text("It is on its way to the provider.")).to_be_visible()


def see_the_refund(clerk: PersonWindow, fin: PersonWindow, cedar: Invoice) -> None:
    """The payer's link says what is due again, the member's page why."""
    page = clerk.page
    press(page, "link", "Back to the invoice")
    due = page.locator(".stat", has_text="Amount due").filter(has_text="100.00")
    for _ in range(60):
        page.reload()
        if due.count():
            break
        page.wait_for_timeout(500)
    expect(due).to_be_visible()
    clerk.look("refunded")
    told = fin.visit(f"i/cedar/invoices/{cedar.pk}/")
    expect(told.get_by_text("Two of the users were ours.")).to_be_visible()
    fin.look("refunded-member")
    with consortium_scope(Scope.COMMAND):
        (refund,) = Refund.objects.all()
        assert (refund.status, refund.amount) == ("succeeded", Decimal("100.00"))
