"""What an allocation says of itself: every figure on the way from the pool to each share."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from consortium.kernel.money import plain

_SHOWN_DECIMALS: Final = 12


@dataclass(frozen=True, slots=True)
class Share:
    """One member's share of a pool, in the pool's currency."""

    member: str
    weight: Fraction
    quotient: Fraction  # the exact part of the rounded pool, after floor and cap, signed
    rounded_down: Decimal  # toward zero, to the currency's exponent
    unit: Decimal  # the one smallest unit given for the remainder, signed, or zero
    amount: Decimal  # rounded_down + unit: what is charged
    bound: str  # "floor" or "cap" when one held this share, else ""

    def explain(self) -> dict[str, str]:
        """Will return the steps as text: exact fractions beside decimals cut after twelve digits."""
        return {
            "member": self.member,
            "weight": str(self.weight),
            "quotient": str(self.quotient),
            "quotient_decimal": _cut(self.quotient),
            "rounded_down": plain(self.rounded_down),
            "unit": plain(self.unit),
            "bound": self.bound,
            "amount": plain(self.amount),
        }


@dataclass(frozen=True, slots=True)
class Allocation:
    """A pool and its shares, which sum to it exactly. Shares stand in ascending order of member key."""

    method: str
    source_amount: Decimal  # the exact pool as it came, before conversion
    source_currency: str
    rate: Decimal | None  # units of `currency` for one unit of `source_currency`
    rate_source: str
    exact: Decimal  # converted, not rounded
    pool: Decimal  # rounded once
    currency: str
    shares: tuple[Share, ...]

    @property
    def amounts(self) -> dict[str, Decimal]:
        """The charge per member."""
        return {share.member: share.amount for share in self.shares}

    def explain(self) -> dict[str, object]:
        """Will return every step as JSON-ready text, in a fixed order."""
        return {
            "method": self.method,
            "source_amount": plain(self.source_amount),
            "source_currency": self.source_currency,
            "rate": None if self.rate is None else plain(self.rate),
            "rate_source": self.rate_source,
            "exact": plain(self.exact),
            "pool": plain(self.pool),
            "currency": self.currency,
            "shares": [share.explain() for share in self.shares],
        }

    def to_json(self) -> bytes:
        """Will return the explanation as bytes that are equal for equal inputs: hash and store these."""
        return canonical(self.explain())


def canonical(document: Mapping[str, object]) -> bytes:
    """Will write JSON in one way only: UTF-8, no blanks, keys in the order given."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _cut(value: Fraction) -> str:
    """Write a fraction as a decimal cut (not rounded) after twelve digits: it never claims more than is true."""
    whole, rest = divmod(abs(value.numerator), value.denominator)
    digits = rest * 10**_SHOWN_DECIMALS // value.denominator
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{digits:0{_SHOWN_DECIMALS}d}"
