"""The clearing account, line by line as the provider keeps it: each movement is recorded and posted once.

Whatever tells us of a movement first (a message, an answer, the payout that takes it along) may; the second one finds
it there. So the clearing account of the books is the provider's balance, to the cent.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.chart_of_accounts import Account
from billing.gateways import ProviderMovement
from billing.ledger import Leg, post
from billing.models import CardDispute, ClearingMovement, InvoiceBalance, Payment, Refund, TakenBack
from billing.reopening import Cause
from billing.taking_back import Split, carry_out, lock_credits, split_of
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.money import EXACT
from consortium.kernel.periods import local_date
from members.models import Issuer

PROVIDER = System("stripe")
_OWN = {"fee": Account.PAYMENT_FEES, "payout": Account.IN_TRANSIT, "payout_failure": Account.IN_TRANSIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a movement belongs to. `amount` is what it took of the payment, in the payment's currency."""

    payment: Payment
    refund: Refund | None = None
    dispute: CardDispute | None = None
    because: Cause = "refund"
    amount: Decimal = Decimal(0)
    note: str = ""


def is_known(found: ProviderMovement) -> bool:
    """Tell whether the movement is recorded."""
    return ClearingMovement.objects.filter(provider_id=found.id).exists()


def record_charge(found: ProviderMovement | None, payment: Payment, *, at: datetime) -> None:
    """Will record what the provider credited for a payment that succeeded, and post the fee that it kept, once."""
    if found is not None and not is_known(found):
        movement = _row(found, issuer=payment.invoice.issuer, subject=Subject(payment=payment), at=at)
        legs = [*_exchanged(found, payment.currency, payment.amount), *_fee(found)]
        _post(movement, legs, f"Fee on the payment of invoice {payment.invoice.number}", at=at)


def record_taking(found: ProviderMovement, subject: Subject, balance: InvoiceBalance, *, at: datetime) -> Split | None:
    """Will record money of a payment that went back or came again, move the invoice and post it, once.

    Returns what that did; None for a movement that is known, or only a fee.

    The caller holds the balance's lock.
    """
    if is_known(found):
        return None
    payment = subject.payment
    movement = _row(found, issuer=payment.invoice.issuer, subject=subject, at=at)
    if found.amount == 0:
        _post(movement, _fee(found), f"Fee on invoice {payment.invoice.number}: {subject.because}", at=at)
        return None
    lost = subject.amount if found.amount < 0 else EXACT.minus(subject.amount)
    lock_credits(payment)
    split = split_of(payment, balance, lost)
    row = TakenBack.objects.create(
        institution_id=payment.institution_id,
        payment=payment,
        movement=movement,
        amount=split.amount,
        reopened=split.reopened,
        from_credit=split.from_credit,
        uncovered=split.uncovered,
        currency=payment.currency,
        at=at,
    )
    carry_out(split, balance, row, because=subject.because, note=subject.note, by=PROVIDER, at=at)
    legs = [
        Leg(Account.RECEIVABLES, split.reopened, payment.currency),
        Leg(Account.MEMBER_CREDIT, split.from_credit, payment.currency),
        Leg(Account.TAKEN_BACK, split.uncovered, payment.currency),
        Leg(Account.CLEARING, EXACT.minus(lost), payment.currency),
        *_exchanged(found, payment.currency, EXACT.minus(lost)),
        *_fee(found),
    ]
    what = "Taken back from" if lost > 0 else "Given again for"
    _post(movement, legs, f"{what} invoice {payment.invoice.number}: {subject.because}", at=at)
    audit.record(
        "billing.payment_taken_back" if lost > 0 else "billing.payment_given_again",
        payment,
        by=PROVIDER,
        at=at,
        institution_id=payment.institution_id,
        after={
            "amount": split.amount, "reopened": split.reopened, "from_credit": split.from_credit,
            "uncovered": split.uncovered, "currency": payment.currency, "because": subject.because,
        },
    )  # fmt: skip
    return split


def record_own(found: ProviderMovement, *, issuer: Issuer, at: datetime) -> ClearingMovement:
    """Will record and post a movement that belongs to no payment: a fee, a payout, one that came back.

    What is neither, such as money of another business on the same account, goes to "Receipts to be explained".
    """
    if held := ClearingMovement.objects.filter(provider_id=found.id).first():
        return held
    movement = _row(found, issuer=issuer, subject=None, at=at)
    other = _OWN.get(found.kind, Account.UNEXPLAINED)
    legs = [
        Leg(Account.CLEARING, found.amount, found.currency),
        Leg(other, EXACT.minus(found.amount), found.currency),
        *_fee(found),
    ]
    _post(movement, legs, f"At the provider: {found.kind.replace('_', ' ')} {found.id}", at=at)
    return movement


def _row(found: ProviderMovement, *, issuer: Issuer, subject: Subject | None, at: datetime) -> ClearingMovement:
    return ClearingMovement.objects.create(
        institution_id=subject.payment.institution_id if subject else None,
        issuer=issuer,
        provider_id=found.id,
        kind=found.kind,
        amount=found.amount,
        fee=found.fee,
        net=EXACT.subtract(found.amount, found.fee),
        currency=found.currency,
        payment=subject.payment if subject else None,
        refund=subject.refund if subject else None,
        dispute=subject.dispute if subject else None,
        happened_at=found.at,
        recorded_at=at,
    )


def _fee(found: ProviderMovement) -> list[Leg]:
    return [
        Leg(Account.PAYMENT_FEES, found.fee, found.currency),
        Leg(Account.CLEARING, EXACT.minus(found.fee), found.currency),
    ]


def _exchanged(found: ProviderMovement, currency: str, amount: Decimal) -> list[Leg]:
    """Where the provider keeps our balance in another currency: both amounts meet on "Currency exchanged"."""
    if found.currency == currency:
        return []
    return [
        Leg(Account.CLEARING, EXACT.minus(amount), currency),
        Leg(Account.EXCHANGE, amount, currency),
        Leg(Account.EXCHANGE, EXACT.minus(found.amount), found.currency),
        Leg(Account.CLEARING, found.amount, found.currency),
    ]


def _post(movement: ClearingMovement, legs: list[Leg], narration: str, *, at: datetime) -> None:
    moved = {leg.account for leg in legs if leg.amount}
    if len(moved) < 2:
        return  # a payment without a fee: its own entry has said all
    post(
        issuer=movement.issuer,
        kind="clearing",
        source=movement,
        on=local_date(at, movement.issuer.zone),
        narration=narration,
        legs=legs,
        at=at,
        institution_id=movement.institution_id,
    )
