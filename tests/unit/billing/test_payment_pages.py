"""The invoice pages and the pay page: who sees what, what a GET may do, and what the payer is told."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from billing import pay_views
from billing.models import Invoice, InvoiceBalance, PayLink, Payment
from billing.pay_links import PayLinkExpiredError, issue_pay_link, open_pay_link
from billing.payments import start_payment
from consortium.kernel import outbox
from consortium.kernel.documents import store
from consortium.kernel.exports import safe_cell
from consortium.kernel.secrets import token_hash
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import AuditEvent, OutgoingMail
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.checkout import Till, open_till, signed
from tests.unit.billing.issued import make_invoice

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def invoice(cast: Cast) -> Invoice:
    return make_invoice(cast)


@pytest.fixture
def token(invoice: Invoice) -> str:
    with institution_scope(invoice.institution_id):
        return issue_pay_link(invoice, at=NOW)


@pytest.fixture
def till(tmp_path: Path, settings: Any) -> Iterator[Till]:
    with open_till(tmp_path) as opened:
        settings.STRIPE_API_KEY = "sk_test_till"
        settings.STRIPE_API_BASE = opened.simulator.url
        settings.STRIPE_WEBHOOK_SECRET = "whsec_till"
        yield opened


# --- The institution's pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "fr"])
def test_finance_people_see_balance_list_and_invoice(cast: Cast, invoice: Invoice, language: str) -> None:
    client = signed_in(cast.finance)
    listing = text_of(client.get(f"/{language}/i/cedar/invoices/"))
    assert "ICC-2026-0007" in listing
    page = text_of(client.get(f"/{language}/i/cedar/invoices/{invoice.pk}/"))
    total = "2,367.90\N{NO-BREAK SPACE}CAD" if language == "en" else "2\N{NO-BREAK SPACE}367,90\N{NO-BREAK SPACE}CAD"
    assert total in page
    assert "1,204.77921934992" in page or "204,77921934992" in page


@pytest.mark.parametrize(
    ("name", "status"), [("owner", 200), ("finance", 200), ("technical", 403), ("viewer", 403), ("outsider", 404)]
)
def test_only_the_roles_that_pay_see_invoices(cast: Cast, invoice: Invoice, name: str, status: int) -> None:
    client = signed_in(cast.person(name))
    for path in ("", f"{invoice.pk}/", "lines.csv", f"{invoice.pk}/invoice.pdf"):
        found = client.get(f"/en/i/cedar/invoices/{path}").status_code
        assert found == (503 if status == 200 and path.endswith("pdf") else status), path


def test_a_member_never_sees_another_member_s_invoice_among_its_own(cast: Cast, invoice: Invoice) -> None:
    client = signed_in(cast.outsider)
    assert client.get(f"/en/i/maple/invoices/{invoice.pk}/").status_code == 404
    assert client.get(f"/en/i/maple/invoices/lines.csv?invoice={invoice.pk}").status_code == 404


def test_without_invoices_the_page_says_when_the_first_one_comes(cast: Cast) -> None:
    assert "No invoices yet" in text_of(signed_in(cast.finance).get("/en/i/cedar/invoices/"))


def test_the_lines_are_exported_to_the_cent_and_without_formulas(cast: Cast, invoice: Invoice) -> None:
    response = signed_in(cast.finance).get("/en/i/cedar/invoices/lines.csv")
    rows = list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert sum(Decimal(row["net"]) for row in rows) == Decimal("2255.15")
    assert sum(Decimal(row["tax"]) for row in rows) == Decimal("112.75")


FORMULAS = (
    "=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "＝1+1", "＋1", "\u200b=1", "\ufeff@x",
)  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_a_spreadsheet_would_run_is_quoted(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


def test_ordinary_text_stays_as_it_is() -> None:
    assert [safe_cell(text) for text in ("Dues", "1=1", "", "é-")] == ["Dues", "1=1", "", "é-"]


def test_the_pay_button_leads_to_the_pay_page(cast: Cast, invoice: Invoice) -> None:
    client = signed_in(cast.finance)
    assert client.get(f"/en/i/cedar/invoices/{invoice.pk}/pay/").status_code == 405
    response = client.post(f"/en/i/cedar/invoices/{invoice.pk}/pay/")
    path = response["Location"].partition("/en/")[2]
    assert "ICC-2026-0007" in text_of(Client().get(f"/en/{path}"))


# --- The pay page ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_pay_page_needs_no_account_and_is_kept_by_nobody(invoice: Invoice, token: str, language: str) -> None:
    response = Client().get(f"/{language}/pay/{token}/")
    page = text_of(response)
    for words in ("ICC-2026-0007", "PO-88121", "000 123 456 789", "Cedar University, Accounts Payable"):
        assert words in page
    assert response["Referrer-Policy"] == "no-referrer"
    assert "noindex" in response["X-Robots-Tag"]
    assert "no-store" in response["Cache-Control"]
    other = "fr" if language == "en" else "en"
    assert f"/{other}/pay/{token}/" in page


def test_opening_the_link_changes_nothing(invoice: Invoice, token: str) -> None:
    client = Client()
    for path in ("", "return/", "state/", "invoice.pdf"):
        client.get(f"/en/pay/{token}/{path}")
        client.head(f"/en/pay/{token}/{path}")
    with consortium_scope(Scope.COMMAND):
        assert (Payment.objects.count(), PayLink.objects.count()) == (0, 1)
        assert not AuditEvent.objects.filter(action__startswith="billing.pay").exists()


def test_the_token_is_not_stored_and_is_long(invoice: Invoice, token: str) -> None:
    assert len(token) >= 43
    with consortium_scope(Scope.COMMAND):
        link = PayLink.objects.get()
        assert link.token_hash == token_hash(token) != token
        assert link.expires_at - link.created_at == timedelta(days=90)


def test_a_wrong_token_shows_nothing(invoice: Invoice, token: str) -> None:
    response = Client().get(f"/en/pay/{token[:-1]}/")
    assert response.status_code == 404
    assert "ICC-2026" not in text_of(response)


def test_an_expired_link_shows_nothing_and_a_fresh_one_goes_to_the_recorded_address_once(invoice: Invoice) -> None:
    long_ago = NOW - timedelta(days=91)
    with institution_scope(invoice.institution_id):
        old = issue_pay_link(invoice, at=long_ago)
    with pytest.raises(PayLinkExpiredError):
        open_pay_link(old, at=NOW)
    client = Client(enforce_csrf_checks=True)
    response = client.get(f"/en/pay/{old}/")
    assert response.status_code == 410
    assert "ICC-2026" not in text_of(response)
    for _ in range(3):
        assert client.post(f"/en/pay/{old}/fresh/", {"email": "thief@evil.example"}).status_code == 200
    outbox.deliver_due(at=datetime.now(UTC) + timedelta(seconds=1))
    with consortium_scope(Scope.COMMAND):
        mail = OutgoingMail.objects.get(template="billing_pay_link")
    assert mail.recipient == "payables@cedar.example"
    fresh = mail.body.partition("/en/pay/")[2].partition("/")[0]
    assert Client().get(f"/en/pay/{fresh}/").status_code == 200


def test_choosing_leads_to_checkout_and_back_and_a_double_click_pays_once(
    invoice: Invoice, token: str, till: Till
) -> None:
    client = Client(enforce_csrf_checks=True)
    first = client.post(f"/en/pay/{token}/", headers={"origin": "null"})
    second = client.post(f"/en/pay/{token}/", headers={"origin": "null"})
    assert first["Location"].startswith(till.simulator.url)
    assert first["Location"] == second["Location"]
    assert "Confirming" in text_of(client.get(f"/en/pay/{token}/return/"))
    with consortium_scope(Scope.COMMAND):
        payment = Payment.objects.get()
    till.card(payment)
    assert client.post(f"/en/pay/{token}/")["Location"].endswith(f"/en/pay/{token}/")
    for body in till.news():
        header = {"Stripe-Signature": signed(body, datetime.now(UTC))}
        for _ in range(2):
            answer = client.post("/webhooks/stripe/", body, content_type="application/json", headers=header)
            assert answer.status_code == 200
        till.hear(body)
    partial = client.get(f"/en/pay/{token}/state/").content.decode()
    assert "Paid. Thank you." in partial
    assert "hx-get" in partial  # the receipt is still being written
    with institution_scope(invoice.institution_id):
        store(
            b"%PDF-", kind="receipt", name="r.pdf", media_type="application/pdf", subject=payment,
            institution_id=invoice.institution_id, at=NOW, language="en",
        )  # fmt: skip
    assert "hx-get" not in client.get(f"/en/pay/{token}/state/").content.decode()
    assert client.get(f"/en/pay/{token}/receipts/{payment.pk}.pdf").status_code == 200
    assert "This invoice is paid" in text_of(client.get(f"/en/pay/{token}/"))


def test_a_bank_debit_is_shown_as_on_its_way_not_as_paid(invoice: Invoice, token: str, till: Till) -> None:
    payment = start_payment(invoice, return_url="http://127.0.0.1/", at=NOW, gateway=till.gateway)
    till.debit(payment)
    for body in till.news():
        till.hear(body)
    page = text_of(Client().get(f"/en/pay/{token}/"))
    assert "on its way" in page
    assert "is paid" not in page


def test_a_provider_that_is_away_is_said_so_and_nothing_is_lost(invoice: Invoice, token: str, settings: Any) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    response = Client().post(f"/en/pay/{token}/")
    assert response.status_code == 503
    assert "does not answer" in text_of(response)
    with consortium_scope(Scope.COMMAND):
        assert InvoiceBalance.objects.get(pk=invoice.pk).paid == 0


def test_the_webhook_refuses_what_proves_nothing(db: None, till: Till) -> None:
    body = json.dumps({"id": "evt_x", "type": "x", "data": {"object": {"object": "x"}}})
    client = Client()
    assert client.post("/webhooks/stripe/", body, content_type="application/json").status_code == 400
    forged = {"Stripe-Signature": signed(body.encode(), datetime.now(UTC), secret="whsec_other")}
    assert client.post("/webhooks/stripe/", body, content_type="application/json", headers=forged).status_code == 400
    assert client.get("/webhooks/stripe/").status_code == 405


@pytest.mark.parametrize(
    ("status", "newest", "due", "returned", "code"),
    [
        ("issued", "", "10", False, "due"),
        ("issued", "created", "10", False, "due"),
        ("issued", "created", "10", True, "confirming"),
        ("issued", "pending", "10", True, "pending"),
        ("issued", "failed", "10", True, "failed"),
        ("issued", "failed", "10", False, "due"),
        ("partly_paid", "succeeded", "4", False, "due"),
        ("paid", "succeeded", "0", True, "paid"),
        ("void", "", "0", False, "credited"),
        ("written_off", "", "10", True, "written_off"),
    ],
)
def test_each_stand_has_its_word(status: str, newest: str, due: str, returned: bool, code: str) -> None:
    assert pay_views._code(status, newest, Decimal(due), returned=returned) == code
