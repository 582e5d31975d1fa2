"""The books: what they refuse, and that they agree with the invoices."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing import ledger
from billing.chart_of_accounts import CHART, Account, accounts_of
from billing.ledger import EntryUnbalanced, Leg, post
from billing.models import BillImport, CloudAccount, LedgerAccount, LedgerEntry, LedgerLeg
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from tests.cast import Cast
from tests.integration.billing.stories import MONTH


def entry(cast: Cast, at: datetime, *legs: Leg, kind: str = "test") -> LedgerEntry:
    """Post legs because of Cedar."""
    return post(
        issuer=cast.issuer,
        kind=kind,
        source=cast.university,
        on=date(2026, 10, 15),
        narration="A posting",
        legs=legs,
        at=at,
        institution_id=cast.university.pk,
    )


SALE = (Leg(Account.RECEIVABLES, Decimal("10.00"), "CAD"), Leg(Account.DUES_INCOME, Decimal("-10.00"), "CAD"))


def test_an_issuer_gets_its_chart_once(cast: Cast) -> None:
    with consortium_scope(Scope.JOB):
        first, second = accounts_of(cast.issuer), accounts_of(cast.issuer)
        assert first == second
        assert LedgerAccount.objects.filter(issuer=cast.issuer).count() == len(CHART)


def test_the_same_source_is_posted_once(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        assert entry(cast, at, *SALE) == entry(cast, at, *SALE)
        assert LedgerLeg.objects.count() == 2


def test_legs_of_one_account_are_added_up_and_zeros_left_out(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        posted = entry(cast, at, *SALE, *SALE, Leg(Account.GST_PAYABLE, Decimal(0), "CAD"))
        assert sorted(posted.legs.values_list("amount", flat=True)) == [Decimal("-20.00"), Decimal("20.00")]


def test_an_entry_that_does_not_balance_in_each_currency_is_refused(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        with pytest.raises(EntryUnbalanced, match=r"10\.00 CAD"):
            entry(cast, at, SALE[0])
        with pytest.raises(EntryUnbalanced):
            entry(cast, at, SALE[0], Leg(Account.DUES_INCOME, Decimal("-10.00"), "USD"))
        with pytest.raises(EntryUnbalanced):
            entry(cast, at)
        assert not LedgerEntry.objects.exists()


def check_now() -> None:
    """Let the deferred triggers speak before the commit."""
    connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")


def raw_entry(cast: Cast, at: datetime, *amounts: str, legs: int = 2) -> None:
    """Write an entry past the ledger module."""
    account = accounts_of(cast.issuer)[Account.BANK]
    row = LedgerEntry.objects.create(
        issuer=cast.issuer,
        kind="raw",
        source_type="x",
        source_id=cast.university.pk,
        on=date(2026, 10, 15),
        posted_at=at,
        narration="raw",
        leg_count=legs,
    )
    for amount in amounts:
        LedgerLeg.objects.create(entry=row, account=account, amount=Decimal(amount), currency="CAD")


@pytest.mark.parametrize(
    ("amounts", "words"),
    [(["1.00", "-0.99"], "does not balance"), (["1.00"], "has 1"), ([], "has 0"), (["1", "-1", "2", "-2"], "has 4")],
)
def test_postgresql_refuses_entries_that_do_not_balance(
    amounts: list[str], words: str, cast: Cast, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        raw_entry(cast, at, *amounts)
        with pytest.raises(IntegrityError, match=words), transaction.atomic():
            check_now()
        transaction.set_rollback(True)


def test_postgresql_refuses_a_leg_added_later(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        posted = entry(cast, at, *SALE)
        check_now()
        account = accounts_of(cast.issuer)[Account.BANK]
        with pytest.raises(IntegrityError, match="has 3"), transaction.atomic():
            LedgerLeg.objects.create(entry=posted, account=account, amount=Decimal(1), currency="CAD")


@pytest.mark.parametrize("table", ["billing_ledgerentry", "billing_ledgerleg"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_postgresql_refuses_to_change_what_was_posted(table: str, statement: str, cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        entry(cast, at, *SALE)
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            connection.cursor().execute(statement.format(table))


def test_trial_balance_stops_at_a_day(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        entry(cast, at, *SALE)
        rows = ledger.trial_balance(cast.issuer, until=date(2026, 10, 15))
        assert [(row.code, row.debit, row.credit, row.balance) for row in rows] == [
            ("1100", Decimal("10.00"), Decimal(0), Decimal("10.00")),
            ("4000", Decimal(0), Decimal("10.00"), Decimal("-10.00")),
        ]
        assert ledger.trial_balance(cast.issuer, until=date(2026, 10, 14)) == []


def test_receivables_without_an_invoice_are_found(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        assert ledger.receivables_agree(cast.issuer)
        entry(cast, at, *SALE)
        (check,) = ledger.receivables(cast.issuer)
        assert (check.ledger, check.invoices, check.agrees) == (Decimal("10.00"), Decimal(0), False)


def test_a_member_sees_its_own_entries_only(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        entry(cast, at, *SALE)
    with institution_scope(cast.other_university.pk):
        assert not LedgerEntry.objects.exists()
    with institution_scope(cast.university.pk):
        assert LedgerEntry.objects.count() == 1


def test_a_cloud_bill_is_owed_to_the_cent_with_its_recoverable_tax(cast: Cast, at: datetime) -> None:
    account = CloudAccount.objects.create(
        issuer=cast.issuer, slug="demo", provider="Demo Cloud", billing_account_id="1", created_at=at
    )
    bill = BillImport.objects.create(
        cloud_account=account,
        month=MONTH,
        charged_month=MONTH,
        version=1,
        file_name="b.csv",
        content_sha256="0" * 64,
        rows=1,
        billed_total=Decimal("10.50500000001"),
        currency="USD",
        imported_at=at,
    )
    with consortium_scope(Scope.JOB):
        ledger.post_supplier_bill(bill, issuer=cast.issuer, input_tax=Decimal("0.495"), on=date(2026, 9, 30), at=at)
        balances = {row.code: row.balance for row in ledger.trial_balance(cast.issuer)}
        assert balances == {"1200": Decimal("0.50"), "2000": Decimal("-10.51"), "5000": Decimal("10.01")}
