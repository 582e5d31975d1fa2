"""The books leave the house: beancount's own checker accepts them, spreadsheets run nothing of them."""

import csv
import io
import json
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from billing import closing
from billing.accruals import accrue
from billing.books_check import check_books, open_faults
from billing.books_export import export_books, read_journal
from billing.books_export.beancount import to_beancount
from billing.chart_of_accounts import Account
from billing.ledger import Leg, post
from billing.models import BooksCheck, Invoice, LedgerEntry, Payment
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Institution
from tests.cast import Cast
from tests.integration.billing.stories import RUN, STORY_ROWS, bill_file, drafted, issued, set_up, take_in, three_to_one

BEAN_CHECK = Path(sys.executable).with_name("bean-check")
HOSTILE = '=HYPERLINK("http://example.com") \\ "quoted"\n2026-01-01 close Assets:1000-Bank'


@pytest.fixture
def books(cast: Cast, at: datetime, tmp_path: Path) -> Cast:
    """September's invoices and bill, an accrual whose grounds are hostile, and yen without decimals."""
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        issued(drafted(period, three_to_one(cast), at), at)
        closing.finish_closing(period, by=RUN, at=at)
        accrue(
            cast.issuer, kind="cost", account=Account.CLOUD_COST, amount=Decimal(500), currency="JPY",
            on=date(2026, 9, 30), grounds=HOSTILE, key="a", by=RUN, at=at,
        )  # fmt: skip
    return cast


def bean_check(path: Path) -> "subprocess.CompletedProcess[str]":
    """Run beancount's own checker."""
    return subprocess.run([str(BEAN_CHECK), "--no-cache", str(path)], capture_output=True, text=True, check=False)


def test_bean_check_accepts_the_books_and_misses_no_altered_leg(books: Cast, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        (written,) = export_books([books.issuer], form="beancount", folder=tmp_path / "out")
    done = bean_check(written.path)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert (written.entries, LedgerEntry.objects.count() > 0) == (5, False)  # read in the scope, and nobody else may
    text = written.path.read_text()
    assert "Assets:1100-Receivables-from-members  2602.57 CAD" in text
    assert "Assets:1100-Receivables-from-members  3391.16 ~ 0 CAD" in text
    for good, bad in (("2602.57 CAD", "2602.58 CAD"), ("3391.16 ~", "3391.15 ~"), ("472.51 USD", "472.5 USD")):
        altered = tmp_path / "altered.beancount"
        altered.write_text(text.replace(good, bad, 1))
        assert bean_check(altered).returncode != 0, good


def test_the_same_books_give_the_same_bytes(books: Cast, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        first, again = (
            [each.sha256 for each in export_books([books.issuer], form="csv", folder=tmp_path / name)]
            for name in ("one", "two")
        )
    assert first == again


def test_csv_journals_hold_every_leg_and_run_nothing(books: Cast, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        files = {each.path.name: each.path for each in export_books([books.issuer], form="csv", folder=tmp_path)}
    assert sorted(files) == ["icc-accounts.csv", "icc-balances.csv", "icc-journal.csv"]
    rows = list(csv.DictReader(io.StringIO(files["icc-journal.csv"].read_text(encoding="utf-8-sig"))))
    debits = sum(Decimal(row["debit"] or 0) for row in rows if row["currency"] == "CAD")
    assert debits == sum(Decimal(row["credit"] or 0) for row in rows if row["currency"] == "CAD") == Decimal("3391.16")
    assert all(bool(row["debit"]) != bool(row["credit"]) for row in rows)
    balances = csv.DictReader(io.StringIO(files["icc-balances.csv"].read_text(encoding="utf-8-sig")))
    assert {(row["account"], row["currency"]): row["balance"] for row in balances}[("2000", "USD")] == "-472.51"


def test_a_hostile_narration_is_quoted_everywhere(cast: Cast, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        legs = [Leg(Account.BANK, Decimal(1), "CAD"), Leg(Account.DUES_INCOME, Decimal(-1), "CAD")]
        post(
            issuer=cast.issuer, kind="x", source=cast.university, on=date(2026, 9, 1), narration=HOSTILE, legs=legs,
            at=at,
        )  # fmt: skip
        (cell,) = {row["narration"] for row in journal_rows(cast, tmp_path)}
        assert cell.startswith("'=")
        path = tmp_path / "hostile.beancount"
        path.write_text(to_beancount(read_journal(cast.issuer)))
    assert bean_check(path).returncode == 0


def journal_rows(cast: Cast, folder: Path) -> list[dict[str, str]]:
    """The exported legs."""
    export_books([cast.issuer], form="csv", folder=folder)
    text = (folder / "icc-journal.csv").read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_the_command_says_what_it_wrote(
    books: Cast, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTAL_CWD", str(tmp_path))
    call_command("export_books", format="beancount", out="books", until="2026-09-30", json=True)
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["out"] == str(tmp_path / "books")
    assert [(each["issuer"], each["entries"]) for each in result["files"]] == [("icc", 2)]
    assert "icc.beancount: 2 entries" in err
    assert bean_check(tmp_path / "books" / "icc.beancount").returncode == 0


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"issuer": "nobody"}, 2, "Known: icc"),
        ({"since": "yesterday"}, 2, "is no day"),
        ({"out": "taken/books"}, 2, "cannot be written"),
    ],
)
def test_a_wrong_call_is_explained(
    cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], status: int, words: str
) -> None:
    monkeypatch.setenv("PORTAL_CWD", str(tmp_path))
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(CommandError, match=words) as refused:
        call_command("export_books", **{"format": "csv", "out": "books", **options})
    assert refused.value.returncode == status


def test_books_that_do_not_balance_are_given_to_nobody(
    books: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.books_export.export.is_balanced", lambda _issuer: False)
    with pytest.raises(CommandError, match="check_books") as refused:
        call_command("export_books", format="csv", out=str(tmp_path / "books"))
    assert (refused.value.returncode, (tmp_path / "books").exists()) == (3, False)


# --- The nightly check ----------------------------------------------------------------------------------------------


def test_books_in_order_pass_their_check(books: Cast, at: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("check_books", json=True)
    assert json.loads(capsys.readouterr().out) == {"ok": True, "faults": []}
    with consortium_scope(Scope.JOB):
        assert (BooksCheck.objects.count(), open_faults()) == (1, 0)


def test_what_does_not_hold_waits_for_a_person(books: Cast, at: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    """A receivable without its invoice, a payment without its entry, credit that nobody had."""
    with consortium_scope(Scope.JOB):
        legs = [Leg(Account.RECEIVABLES, Decimal("-0.01"), "CAD"), Leg(Account.MEMBER_CREDIT, Decimal("0.01"), "CAD")]
        source = Institution.objects.get(pk=books.university.pk)
        post(
            issuer=books.issuer, kind="x", source=source, on=date(2026, 9, 1), narration="x", legs=legs, at=at,
            institution_id=source.pk,
        )  # fmt: skip
        invoice = Invoice.objects.first()
        assert invoice is not None
        row = Payment.objects.create(
            institution_id=invoice.institution_id, invoice=invoice, provider="manual", amount=Decimal("5.00"),
            currency="CAD", idempotency_key="k", created_at=at,
        )  # fmt: skip
        Payment.objects.filter(pk=row.pk).update(status="succeeded", succeeded_at=at)
    with pytest.raises(CommandError) as refused:
        call_command("check_books")
    assert refused.value.returncode == 3
    with consortium_scope(Scope.JOB):
        assert open_faults() == 3
        receivable, payment, credit = BooksCheck.objects.get().faults
        assert "3391.15 CAD, its open invoices 3391.16" in receivable
        assert "payments brought 0 CAD, the payments say 5.00" in payment
        assert "holds -0.01 CAD of credit for Cedar University" in credit
        check_books(at=at)  # an older check does not hide the newest one
        assert open_faults() == 3
