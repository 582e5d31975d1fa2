"""A payout of the payment provider on the bank's statement: matched whole, once, undone, and in another currency."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from threading import Barrier

import pytest
from django.db import DatabaseError, connection, transaction

from billing.bank_import import import_statement
from billing.bank_matching import LineNotOpen, MatchInvalid, accept_payout, undo_match
from billing.bank_queue import payout_candidates
from billing.clearing_check import clearing_faults
from billing.models import BankAccount, BankLine, BankMatch, ClearingMovement, Invoice, LedgerLeg, Payout, PayoutArrival
from billing.payments import start_payment
from billing.payouts import PayoutNotOpen
from billing.refunds import propose_refund, send_refund
from consortium.kernel.crash import SimulatedCrash, arm, disarm
from consortium.kernel.errors import Forbidden
from consortium.kernel.money import round_money
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Issuer
from tests.cast import Cast, make_cast
from tests.unit.billing.bank_files import CAMT
from tests.unit.billing.checkout import Till, open_till
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.paid import RETURN, TOTAL, books, paid_by_card, stand

NET = TOTAL - Decimal("68.97")  # what is left of it after the provider's fee
RATE = Decimal("0.72")
EXCHANGE = "1950"


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    with open_till(tmp_path) as opened:
        yield opened
    disarm()


def sent(cast: Cast, till: Till) -> Payout:
    """An invoice was paid by card, and the money is on its way to the bank."""
    paid_by_card(till, make_invoice(cast), at=datetime.now(UTC))
    till.pull("payout")
    till.hear_new()
    with consortium_scope(Scope.STAFF):
        return Payout.objects.get()


def shown(
    cast: Cast, amount: Decimal, *, currency: str = "CAD", number: int = 1, issuer: Issuer | None = None
) -> BankLine:
    """The bank's statement shows an amount that came in."""
    text = CAMT.replace(b"2367.90", f"{amount}".encode()).replace(b"3392.90", f"{amount + 1025}".encode())
    text = text.replace(b"B-", b"P%d-" % number).replace(b"CAD", currency.encode())
    with consortium_scope(Scope.STAFF):
        account, _made = BankAccount.objects.get_or_create(
            issuer=issuer or cast.issuer, name="Operating", number="123456789", currency=currency
        )
        done = import_statement(account, text, file_name="bank.xml", by=cast.staff, at=datetime.now(UTC))
        keys = [line.pk for line in done.lines if line.amount == amount]
        return BankLine.objects.select_related("account__issuer").get(pk__in=keys)


def match(cast: Cast, line: BankLine, payout: Payout) -> BankMatch:
    with consortium_scope(Scope.STAFF):
        return accept_payout(line, payout, by=cast.staff, at=datetime.now(UTC))


def in_books() -> dict[tuple[str, str], Decimal]:
    """What is on each account and currency that is not empty, invoices and payments' own entries left out."""
    found: dict[tuple[str, str], Decimal] = {}
    with consortium_scope(Scope.STAFF):
        for code, currency, amount in LedgerLeg.objects.values_list("account__code", "currency", "amount"):
            found[code, currency] = found.get((code, currency), Decimal(0)) + amount
    return {key: amount for key, amount in found.items() if amount}


def test_a_line_is_matched_with_a_payout_of_exactly_its_amount_and_undone_again(cast: Cast, till: Till) -> None:
    payout = sent(cast, till)
    line, other = shown(cast, NET), shown(cast, NET - 1, number=2)
    with consortium_scope(Scope.STAFF):
        assert (list(payout_candidates(line)), list(payout_candidates(other))) == ([payout], [])
        with pytest.raises(Forbidden):
            accept_payout(line, payout, by=cast.finance, at=datetime.now(UTC))
        stranger = Issuer.objects.create(
            slug="other", name_en="Other", name_fr="Autre", address="1 Road", email="b@other.example", zone="UTC"
        )
    for wrong in (other, shown(cast, NET, currency="USD", number=3), shown(cast, NET, number=4, issuer=stranger)):
        with pytest.raises(MatchInvalid, match="another amount, currency or issuer"):
            match(cast, wrong, payout)
    assert (books()["1060"], "1000" in books()) == (NET, False)

    made = match(cast, line, payout)
    with consortium_scope(Scope.STAFF):
        arrival = PayoutArrival.objects.get(undone_at=None)
        assert (made.kind, made.arrival, made.because) == ("payout", arrival, f"payout {payout.provider_id}")
        assert (arrival.on, arrival.reference) == (line.booked_on, "P1-1")
        assert BankLine.objects.get(pk=line.pk).status == "matched"
    assert (books()["1000"], "1060" in books()) == (NET, False)
    with pytest.raises(LineNotOpen):
        match(cast, line, payout)
    twice = shown(cast, NET, number=5)
    with pytest.raises(PayoutNotOpen, match="matched with the bank already"):
        match(cast, twice, payout)

    with consortium_scope(Scope.STAFF):
        undo_match(line, reason="It was the next one.", by=cast.staff, at=datetime.now(UTC))
        assert list(payout_candidates(twice)) == [payout]
    assert (books()["1060"], "1000" in books()) == (NET, False)
    match(cast, twice, payout)  # and is matched anew, with the other line
    with consortium_scope(Scope.STAFF):
        assert (PayoutArrival.objects.count(), BankMatch.objects.filter(undone_at=None).count()) == (2, 1)
        assert clearing_faults(cast.issuer) == []
        with pytest.raises(DatabaseError), transaction.atomic():
            BankMatch.objects.create(line=line, kind="payout", amount=NET, currency="CAD", at=datetime.now(UTC))


def test_of_two_clerks_one_matches_a_payout_and_a_crash_leaves_nothing_half(committed_db: str, till: Till) -> None:
    cast = make_cast(datetime(2026, 10, 15, 16, tzinfo=UTC))
    payout = sent(cast, till)
    lines = [shown(cast, NET, number=number) for number in (1, 2)]
    before = in_books()
    arm("bank_line.matched")
    with pytest.raises(SimulatedCrash):
        match(cast, lines[0], payout)
    disarm()
    with consortium_scope(Scope.STAFF):
        assert not PayoutArrival.objects.exists()
        assert set(BankLine.objects.filter(amount=NET).values_list("status", flat=True)) == {"open"}
    assert in_books() == before
    start = Barrier(2, timeout=10)

    def clerk(line: BankLine) -> str:
        try:
            start.wait()
            return match(cast, line, payout).kind
        except PayoutNotOpen as refused:
            return refused.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(clerk, lines)) == ["payout", "payout_not_open"]
    with consortium_scope(Scope.STAFF):
        assert clearing_faults(cast.issuer) == []
    assert in_books()["1000", "CAD"] == NET


def kept_in_dollars(till: Till) -> None:
    """The provider keeps our balance in US dollars: what it has not told yet is in them."""
    store = till.simulator.store
    with store.transaction():
        for line in list(store.newest("balance_transaction")):
            if line["currency"] == "cad":
                amount, fee = (int(round_money(line[part] * RATE, "JPY")) for part in ("amount", "fee"))
                turned = {"amount": amount, "fee": fee, "net": amount - fee, "currency": "usd", "exchange_rate": 0.72}
                store.put({**line, **turned})


def paid_in_dollars(cast: Cast, till: Till, at: datetime) -> Invoice:
    """An invoice of 2,367.90 Canadian dollars, paid by card, of which 367.90 were given back."""
    invoice = make_invoice(cast)
    payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
    till.card(payment)
    kept_in_dollars(till)
    till.hear_new()
    with consortium_scope(Scope.STAFF):
        payment.refresh_from_db()
        row = propose_refund(payment, amount=Decimal("367.90"), reason="Paid twice.", by=cast.staff, at=at)
    till.gateway._client.v1.refunds.create(
        params={
            "payment_intent": payment.intent_id,
            "amount": 36_790,
            "metadata": {"refund_id": str(row.pk)},
        }
    )
    kept_in_dollars(till)
    send_refund(row, at=at, gateway=till.gateway)
    till.hear_new()
    return invoice


def test_money_that_the_provider_keeps_in_another_currency_is_exchanged_in_the_books_and_paid_out_in_it(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = paid_in_dollars(cast, till, at)
    assert stand(invoice) == ("partly_paid", Decimal("2000.00"))
    came, fee, went = Decimal("1704.89"), Decimal("49.66"), Decimal("264.89")
    with consortium_scope(Scope.STAFF):
        told = sorted(ClearingMovement.objects.values_list("kind", "amount", "fee", "currency"))
        assert told == [("charge", came, fee, "USD"), ("refund", -went, Decimal(0), "USD")]
    # Receivables stay in the invoice's currency; both currencies meet on "Currency exchanged", and each one balances.
    found = in_books()
    assert found["1050", "USD"] == came - fee - went
    assert found["5100", "USD"] == fee
    exchanged = {currency: amount for (code, currency), amount in found.items() if code == EXCHANGE}
    assert exchanged == {"CAD": Decimal("2000.00"), "USD": went - came}
    assert ("1050", "CAD") not in found
    till.pull("payout", currency="usd")
    till.hear_new()
    till.hear_all(till.news())
    with consortium_scope(Scope.STAFF):
        payout = Payout.objects.get()
        assert (payout.amount, payout.currency, payout.problem) == (came - fee - went, "USD", "")
        assert clearing_faults(cast.issuer) == []
    with pytest.raises(MatchInvalid):
        match(cast, shown(cast, payout.amount, number=8), payout)  # the same figure in Canadian dollars
    match(cast, shown(cast, payout.amount, currency="USD", number=9), payout)
    found = in_books()
    assert (found["1000", "USD"], ("1060", "USD") in found, ("1050", "USD") in found) == (payout.amount, False, False)
    with consortium_scope(Scope.STAFF):
        assert clearing_faults(cast.issuer) == []
