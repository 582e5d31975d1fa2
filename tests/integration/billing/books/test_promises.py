"""Promises of the money book: 1 (commands), 10 (ledger), 12 (outbox), 15 (no cent lost), 19 (time)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import ledger
from billing.chart_of_accounts import Account
from billing.commands import KeyReused, body_digest
from billing.facts import MemberFacts
from billing.invoicing import approve_invoice, issue_invoice
from billing.ledger import EntryUnbalanced, Leg, post
from billing.models import Invoice, InvoiceBalance, LedgerEntry, LedgerLeg, NumberSeries, Payment, SupplierBill
from billing.supplier_bills import record_supplier_bill
from consortium.kernel.crash import SimulatedCrash, arm, disarm
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month, day_period, month_period
from consortium.kernel.tenancy import Scope, consortium_scope, enter_scope
from consortium.models import AuditEvent, Delivery
from tests.cast import Cast, make_cast
from tests.integration.billing.books.test_suppliers_and_funds import LICENCE, changed
from tests.integration.billing.stories import RUN, drafted, facts, schedule, set_up
from tests.unit.billing.issued import make_invoice
from tests.worked_examples.purse import Purse

ZONES = ("America/Vancouver", "America/St_Johns", "America/Toronto", "Europe/Paris", "Pacific/Auckland")


@pytest.fixture(autouse=True)
def _no_crash() -> Iterator[None]:
    yield
    disarm()


# --- 1: replaying a command returns the first result; the same key with another body is refused ----------------------


def test_eight_senders_of_one_key_record_one_bill(committed_db: str, at: datetime) -> None:
    issuer = make_cast(at).issuer

    def send(number: int) -> object:
        try:
            with consortium_scope(Scope.JOB):
                bill = LICENCE if number % 2 else changed(net=Decimal("7.00"))
                return record_supplier_bill(issuer, bill, key="one", by=RUN, at=at).pk
        except KeyReused as refused:
            return refused.code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(send, range(8)))
    assert len({each for each in results if each != "key_reused"}) == 1
    assert results.count("key_reused") == 4
    with consortium_scope(Scope.JOB):
        assert (SupplierBill.objects.count(), LedgerEntry.objects.count()) == (1, 1)


@settings(max_examples=50, deadline=None)
@given(
    amount=st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9),
    zeros=st.integers(0, 6),
    text=st.text(max_size=20),
)
def test_a_body_is_known_by_what_it_means(amount: Decimal, zeros: int, text: str) -> None:
    same = amount.quantize(Decimal(1).scaleb(-4 - zeros))
    digest = body_digest({"amount": amount, "text": text})
    assert body_digest({"text": text, "amount": same}) == digest
    assert body_digest({"text": text, "amount": amount + Decimal("0.0001")}) != digest
    assert body_digest({"text": text + "x", "amount": amount}) != digest
    assert body_digest({"text": text, "amount": str(amount)}) != digest or str(amount) == f"{amount:f}"


# --- 10: the ledger balances in each currency, or the entry does not exist -------------------------------------------

LEGS = st.lists(
    st.tuples(st.sampled_from(list(Account)), st.integers(-500, 500), st.sampled_from(["CAD", "USD", "JPY"])),
    min_size=0,
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(legs=LEGS, closes=st.booleans())
def test_any_legs_are_posted_balanced_or_not_at_all(
    cast: Cast, at: datetime, legs: list[tuple[Account, int, str]], closes: bool
) -> None:
    wanted = [Leg(account, Decimal(amount), currency) for account, amount, currency in legs]
    if closes:
        rest = {
            currency: -sum(amount for _account, amount, own in legs if own == currency)
            for currency in {own for _account, _amount, own in legs}
        }
        wanted += [Leg(Account.NET_ASSETS, Decimal(amount), currency) for currency, amount in rest.items()]
    sums = {leg.currency: sum(each.amount for each in wanted if each.currency == leg.currency) for leg in wanted}
    with consortium_scope(Scope.JOB):
        try:
            with transaction.atomic():
                entry = post(
                    issuer=cast.issuer, kind="any", source=cast.university, on=date(2026, 1, 1), narration="any",
                    legs=wanted, at=at,
                )  # fmt: skip
                connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")
                assert not any(sums.values())
                assert LedgerLeg.objects.filter(entry=entry).count() == entry.leg_count >= 2
                transaction.set_rollback(True)
        except EntryUnbalanced:
            moved = {(leg.account, leg.currency) for leg in wanted}
            nets = [exact_sum(leg.amount for leg in wanted if (leg.account, leg.currency) == key) for key in moved]
            assert any(sums.values()) or sum(1 for net in nets if net) < 2
        assert ledger.is_balanced(cast.issuer)


@pytest.mark.parametrize("table", ["billing_ledgerentry", "billing_ledgerleg"])
def test_postgresql_refuses_to_truncate_the_books(cast: Cast, table: str) -> None:
    with pytest.raises(DatabaseError, match=r"permission denied|append-only"), transaction.atomic():
        connection.cursor().execute(f"TRUNCATE {table} CASCADE")


# --- 12: state and outbox commit together, or neither does -----------------------------------------------------------


@pytest.mark.parametrize("where", ["invoice.numbered", "invoice.frozen", "invoice.posted", "invoice.before_commit"])
def test_a_crash_while_issuing_leaves_neither_state_nor_news(committed_db: str, at: datetime, where: str) -> None:
    cast = make_cast(at)
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        members = [facts(cast.university, dues="12000.00", joined=date(2025, 1, 1), memory="1", users=1)]
        (draft,) = drafted(period, members, at)
        approve_invoice(draft, by=RUN, at=at)
    before = traces()
    arm(where)
    with pytest.raises(SimulatedCrash), consortium_scope(Scope.JOB):
        issue_invoice(draft, by=RUN, at=at)
    disarm()
    assert traces() == before == ("approved", 0, 0, 0, 0, 0)
    with consortium_scope(Scope.JOB):
        issue_invoice(draft, by=RUN, at=at)
    assert traces() == ("issued", 1, 1, 1, 1, 1)


def traces() -> tuple[str, int, int, int, int, int]:
    """The invoice's state, its numbers, balance, entry, event and mail to be sent."""
    with consortium_scope(Scope.JOB):
        return (
            Invoice.objects.get().status,
            sum(each.next - 1 for each in NumberSeries.objects.all()),
            InvoiceBalance.objects.count(),
            LedgerEntry.objects.filter(kind="invoice").count(),
            AuditEvent.objects.filter(action="billing.invoice_issued").count(),
            Delivery.objects.filter(receiver="billing.mail_invoice").count(),
        )


# --- 15: no cent of a payment is lost --------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12, deadline=None)
@given(amounts=st.lists(st.integers(1, 400_000), min_size=1, max_size=4), copies=st.integers(1, 2))
def test_every_cent_that_arrives_is_applied_or_held_as_credit(
    cast: Cast, at: datetime, amounts: list[int], copies: int
) -> None:
    """Whatever the payer's bank sends, short or over, in whatever pieces and copies: received = paid + credit."""
    with connection.cursor() as cursor:  # in SQL: acting on news opens a transaction that may not stand in another one
        cursor.execute("SAVEPOINT example")
        enter_scope(Scope.JOB)
        invoice, received = make_invoice(cast), Decimal(0)
        purse = Purse()
        for cents in amounts:
            balance = InvoiceBalance.objects.get(pk=invoice.pk)
            if balance.paid >= balance.total:
                break
            received += pay_cents(purse, invoice, cents, copies, at)
        balance = InvoiceBalance.objects.get(pk=invoice.pk)
        books = {row.code: row.balance for row in ledger.trial_balance(cast.issuer)}
        assert books["1050"] == received
        assert books.get("2200", Decimal(0)) == -max(received - balance.total, Decimal(0))
        assert balance.paid == min(received, balance.total)
        assert [check.agrees for check in ledger.payments_checks(cast.issuer)] == [True]
        cursor.execute("ROLLBACK TO SAVEPOINT example")


def pay_cents(purse: Purse, invoice: Invoice, cents: int, copies: int, at: datetime) -> Decimal:
    """Let so many cents arrive on a page of the invoice, and tell of it once or twice."""
    amount, held = Decimal(cents) / 100, InvoiceBalance.objects.get(pk=invoice.pk)
    payment = Payment.objects.create(
        institution_id=invoice.institution_id, invoice=invoice, provider="stripe", amount=held.total - held.paid,
        currency="CAD", idempotency_key=f"k{Payment.objects.count()}", session_id=f"cs_{Payment.objects.count()}",
        created_at=at,
    )  # fmt: skip
    purse.open(payment)
    intent = purse.move(payment, amount)
    for copy in range(copies):
        purse.hear(intent, at=at, copy=copy)
    return amount


# --- 19: what members are billed for tiles time ----------------------------------------------------------------------


@pytest.mark.parametrize("zone", ZONES)
def test_billed_periods_tile_2024_to_2032(zone: str) -> None:
    """Month by month, in every zone, an open agreement is billed for every instant exactly once."""
    member = MemberFacts(
        institution_id=UUID(int=1), slug="cedar", zone=zone, agreement_id=UUID(int=2), currency="CAD",
        schedule=schedule("12000.00"), starts_on=date(2023, 5, 17),
    )  # fmt: skip
    months = [Month(2024, 1).plus(number) for number in range(12 * 9)]
    periods = [period for month in months if (period := member.billed_period(month))]
    assert len(periods) == len(months)
    assert all(one.end == two.start for one, two in pairwise(periods))
    assert periods[0].start == month_period(Month(2024, 1), zone).start
    assert periods[-1].end == month_period(Month(2032, 12), zone).end


@given(
    zone=st.sampled_from(ZONES),
    starts=st.dates(date(2024, 1, 1), date(2032, 12, 1)),
    length=st.integers(1, 900),
)
def test_a_joiner_and_leaver_is_billed_for_its_days_and_no_instant_more(zone: str, starts: date, length: int) -> None:
    ends = date.fromordinal(starts.toordinal() + length)
    member = MemberFacts(
        institution_id=UUID(int=1), slug="cedar", zone=zone, agreement_id=UUID(int=2), currency="CAD",
        schedule=schedule("12000.00"), starts_on=starts, ends_on=ends,
    )  # fmt: skip
    months = [Month.of(starts).plus(number) for number in range(-1, length // 28 + 3)]
    periods = [period for month in months if (period := member.billed_period(month))]
    assert periods[0].start == day_period(starts, zone).start
    assert periods[-1].end == day_period(ends, zone).start
    assert all(one.end == two.start for one, two in pairwise(periods))
