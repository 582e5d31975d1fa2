"""What is final stays final: documents, numbers under kill -9, taxes as decided, each issuer its own series."""

import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import IntegrityError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.documents import render_invoice
from billing.documents.kept import electronic_document
from billing.invoicing import approve_invoice, issue_invoice
from billing.line_taxes import TaxFacts, tax_lines
from billing.models import Invoice, InvoiceLineTax, LedgerEntry, NumberSeries
from billing.periods import open_period
from billing.snapshot import InvoiceSnapshot
from billing.tax import Registration, Tax
from consortium.kernel.documents import DocumentDamaged, read
from consortium.kernel.money import exact_sum
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import BankDetails, Issuer, TaxRegistration
from tests.cast import Cast, make_cast
from tests.integration.billing.stories import (
    MONTH,
    RUN,
    STORY_ROWS,
    bill_file,
    drafted,
    issued,
    open_account,
    set_up,
    take_in,
    three_to_one,
)

ROOT = Path(__file__).resolve().parents[3]
KILLED = """
import sys, django
django.setup()
from datetime import datetime, UTC
from django.db import connection
connection.settings_dict["NAME"] = sys.argv[1]
from consortium.kernel.audit import System
from consortium.kernel.tenancy import Scope, consortium_scope
from billing.invoicing import issue_invoice
from billing.models import Invoice
with consortium_scope(Scope.JOB):
    invoice = Invoice.objects.filter(status="approved").order_by("institution__slug").first()
    issue_invoice(invoice, by=System("billing run"), at=datetime(2026, 10, 15, 16, tzinfo=UTC))
"""


@pytest.fixture(autouse=True)
def own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_storage, "location", str(tmp_path / "files"))


def story(cast: Cast, at: datetime, folder: Path) -> list[Invoice]:
    """September's two drafts."""
    period = set_up(cast, at)
    take_in(bill_file(folder, *STORY_ROWS), cast, at)
    return drafted(period, three_to_one(cast), at)


def refused(statement: str, *parameters: Any, words: str) -> None:
    """Speak SQL past the ORM and be refused."""
    with pytest.raises(IntegrityError, match=words), transaction.atomic():
        connection.cursor().execute(statement, parameters)


def test_a_final_document_never_changes_and_every_hash_verifies_again(cast: Cast, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        cedar, _ = issued(story(cast, at, tmp_path), at)
        pdf = render_invoice(cedar, at=at)
        ubl = electronic_document(cedar, "ubl")
        assert ubl is not None
        for document in (pdf, ubl):
            assert read(document)
            refused("UPDATE consortium_document SET sha256 = 'x' WHERE id = %s", document.pk, words="append-only")
            refused("DELETE FROM consortium_document WHERE id = %s", document.pk, words="append-only")
        path = Path(default_storage.path(ubl.storage_key))
        path.write_bytes(path.read_bytes().replace(b"2602.57", b"2602.58"))
        with pytest.raises(DocumentDamaged):
            read(ubl)
        refused("UPDATE billing_invoice SET snapshot = '{}' WHERE id = %s", cedar.pk, words="is frozen")


@pytest.mark.slow
@pytest.mark.parametrize("point", ["invoice.number_taken", "invoice.frozen", "invoice.before_commit"])
def test_kill_9_between_number_and_commit_leaves_no_gap(
    point: str, committed_db: str, at: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with consortium_scope(Scope.JOB):
        for draft in story(make_cast(at), at, tmp_path):
            approve_invoice(draft, by=RUN, at=at)
    monkeypatch.setenv("PORTAL_CRASH_AT", point)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "consortium.settings")
    died = subprocess.run([sys.executable, "-c", KILLED, committed_db], cwd=ROOT, capture_output=True, check=False)
    assert died.returncode == -9, died.stderr
    with consortium_scope(Scope.JOB):
        assert not LedgerEntry.objects.exists()
        assert not NumberSeries.objects.exists()
        rest = Invoice.objects.filter(status="approved").order_by("institution__slug")
        numbers = [issue_invoice(invoice, by=RUN, at=at).number for invoice in rest]
    assert numbers == ["ICC-2026-000001", "ICC-2026-000002"]


def test_taxes_stay_as_they_were_decided_when_registrations_change(cast: Cast, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        _, maple = issued(story(cast, at, tmp_path), at)
        before = InvoiceSnapshot.from_json(maple.snapshot)
        TaxRegistration.objects.update(number="changed")
        with pytest.raises(IntegrityError, match="two people"), transaction.atomic():
            BankDetails.objects.update(account_number="changed")
        maple.refresh_from_db()
        assert InvoiceSnapshot.from_json(maple.snapshot) == before
        assert {tax.registration for tax in before.taxes} == {"123456789 RT0001", "1234567890 TQ0001"}
        refused("UPDATE billing_invoicelinetax SET rate = 0", words="is issued")
        refused("DELETE FROM billing_invoiceline WHERE invoice_id = %s", maple.pk, words="is issued")


def test_each_legal_entity_has_its_own_numbers_period_and_books(cast: Cast, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        first, _ = issued(story(cast, at, tmp_path), at)
        other = Issuer.objects.create(
            slug="east", name_en="Eastern Computing", address="2 Example Road\nHalifax NS", email="b@east.example",
            zone="America/Halifax",
        )  # fmt: skip
        open_account(cast.university, other, province="BC", at=at)
        period = open_period(other, MONTH)
        found = issued(drafted(period, three_to_one(cast)[:1], at), at)
        assert (first.number, found[0].number) == ("ICC-2026-000001", "EAST-2026-000001")
        assert found[0].tax_total == Decimal("0.00")
        assert {tax.reason for tax in InvoiceLineTax.objects.filter(invoice=found[0])} == {
            "not_registered", "no_provincial_rule",
        }  # fmt: skip
        assert LedgerEntry.objects.get(source_id=found[0].pk).issuer == other


REGISTERED = (
    Registration("CA", Tax.GST, "1", date(2020, 1, 1)),
    Registration("CA-QC", Tax.QST, "2", date(2020, 1, 1)),
)


@settings(max_examples=150, deadline=None)
@given(
    nets=st.lists(st.integers(-500_000, 5_000_000), min_size=1, max_size=12),
    currency=st.sampled_from(["CAD", "JPY", "KWD"]),
    province=st.sampled_from(["QC", "ON", "BC", "NS"]),
)
def test_line_tax_and_totals_agree_exactly_whatever_the_lines(nets: list[int], currency: str, province: str) -> None:
    power = {"CAD": 2, "JPY": 0, "KWD": 3}[currency]
    lines = [("dues", Decimal(net).scaleb(-power)) for net in nets]
    facts = TaxFacts(province=province, country="CA", evidence="", registrations=REGISTERED, on=date(2026, 10, 1))
    taxed = tax_lines(lines, facts=facts, currency=currency)
    by_line = exact_sum(tax.amount for line in taxed.lines for tax in line)
    assert by_line == taxed.totals.tax == exact_sum(tax.amount for tax in taxed.totals.taxes)
    assert taxed.totals.total == exact_sum(net for _, net in lines) + by_line
    for tax in taxed.totals.taxes:
        exact = exact_sum(net for _, net in lines) * tax.decision.rate / 100
        assert abs(tax.amount - exact) <= Decimal("0.5").scaleb(-power)
