"""The demonstration's treasurer works once, however often the demonstration is started."""

from datetime import UTC, date, datetime
from decimal import Decimal

from billing import ledger
from billing.fx import record_rate
from billing.models import BooksCheck, LedgerEntry, SupplierBill
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.demo.books import tell_books
from tests.cast import Cast
from tests.integration.billing.stories import RUN


def test_a_second_telling_doubles_nothing(cast: Cast) -> None:
    months, at = [Month(2026, 9), Month(2026, 10)], datetime(2026, 11, 20, 18, tzinfo=UTC)
    with consortium_scope(Scope.COMMAND):
        record_rate(
            base="USD", quote="CAD", on=date(2026, 10, 1), rate=Decimal("1.4"), source="x", by=RUN, at=at
        )  # fmt: skip
    counts = []
    for _ in range(2):
        tell_books(issuer=cast.issuer, staff=cast.staff, months=months, at=at)
        with consortium_scope(Scope.COMMAND):
            counts.append((LedgerEntry.objects.count(), SupplierBill.objects.count(), BooksCheck.objects.count()))
    assert counts == [(4, 1, 1), (4, 1, 1)]
    with consortium_scope(Scope.COMMAND):
        balances = {row.code: row.balance for row in ledger.trial_balance(cast.issuer) if row.balance}
        assert balances == {
            "1000": Decimal("22930.45"),
            "1210": Decimal("90.00"),
            "1220": Decimal("179.55"),
            "2400": Decimal("-21800.00"),
            "4300": Decimal("-3200.00"),
            "5200": Decimal("1800.00"),
        }
