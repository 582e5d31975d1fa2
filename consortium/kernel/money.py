"""Exact money: reading amounts, rounding them once, writing them again.

Every amount is a `Decimal` beside an ISO 4217 code, or an integer of that currency's minor units. Nothing here uses the
ambient decimal context, so a caller who lowered its precision, or a library that did, cannot change a cent. No float is
ever accepted. The rules are those of the project's money book: round half away from zero, to the currency's own
exponent, and never add two currencies.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Final, Self

from consortium.kernel.currencies import CURRENCY_EXPONENTS
from consortium.kernel.errors import Invalid

# A provider's line of cost has some 11 decimals, a double written out has up to 34; more than this is an attack or a
# mistake. `1E+400` fails here although it is a valid decimal.
MAX_INTEGER_DIGITS: Final = 24
MAX_DECIMALS: Final = 40
_MAX_TEXT: Final = 100

# Sums and products must come out exactly; a result that does not fit raises instead of losing a digit.
EXACT: Final = Context(prec=2000, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])
# Only `round_money` may lose digits, and it says how.
_ROUNDING: Final = Context(prec=2000, rounding=ROUND_HALF_UP, traps=[InvalidOperation, DivisionByZero, Overflow])

_PLAIN: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_WITH_EXPONENT: Final = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE](?P<power>[+-]?[0-9]{1,4}))?")


class AmountInvalid(Invalid, ValueError):
    """A text is not an exact amount of money."""

    code = "amount_invalid"


class CurrencyUnknown(Invalid, ValueError):
    """A code is not an active ISO 4217 currency with a minor unit."""

    code = "currency_unknown"


class CurrencyMismatch(Invalid, ValueError):
    """Two amounts of different currencies were to be added or compared."""

    code = "currency_mismatch"


def exponent(currency: str) -> int:
    """Will return how many decimals the currency has (ISO 4217): JPY 0, CAD 2, KWD 3. Raises CurrencyUnknown."""
    try:
        return CURRENCY_EXPONENTS[currency]
    except (KeyError, TypeError):
        raise CurrencyUnknown(
            f"{_shown(currency)} is no currency we can invoice in. Use a three-letter ISO 4217 code in capitals, "
            "such as CAD."
        ) from None


def quantum(currency: str) -> Decimal:
    """Will return the smallest amount of the currency: 1 for JPY, 0.01 for CAD. Raises CurrencyUnknown."""
    return Decimal((0, (1,), -exponent(currency)))


def parse_amount(text: object, *, currency: str | None = None, allow_exponent: bool = False) -> Decimal:
    """Will read an exact decimal from text, keeping the number of decimals it was written with.

    Plain ASCII only: an optional minus, digits, and a point followed by digits. With `currency` no more decimals may be
    written than that currency has. With `allow_exponent` the machine notation that FOCUS permits is read too (`1.6E-7`,
    `.5`), within bounds. Raises AmountInvalid for everything else (blank, NaN, Infinity, `1_000`, `1,000`, other
    scripts' digits, `1E+400`, floats), CurrencyUnknown for an unknown currency.
    """
    if not isinstance(text, str):
        raise AmountInvalid(
            f'An amount must be written as text, such as "12.50", not as {type(text).__name__}: only text is exact.'
        )
    if not text.strip():
        raise AmountInvalid('The amount is empty. Write it in digits, such as "12.50".')
    pattern = _WITH_EXPONENT if allow_exponent else _PLAIN
    match = pattern.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None:
        raise AmountInvalid(
            f"{_shown(text)} is not an amount. Write plain digits with a point before the decimals, such as 1234.50, "
            "without blanks, separators or a currency sign."
        )
    amount = _bounded(Decimal(text), text)
    if currency is not None and scale(amount) > exponent(currency):
        raise AmountInvalid(
            f"{_shown(text)} has {scale(amount)} decimals, but {currency} has {exponent(currency)}. Write it to the "
            f"smallest unit of {currency}."
        )
    return amount


def scale(amount: Decimal) -> int:
    """Will return how many decimals the amount is written with: 2 for 12.50, 0 for 1E+3."""
    power = _finite(amount).as_tuple().exponent
    return max(0, -int(power))


def plain(amount: Decimal) -> str:
    """Will write the amount in plain digits without an exponent, keeping its decimals: 0.00000016, 12.50, 1000.

    Zero never carries a minus sign. Raises AmountInvalid for NaN and infinities.
    """
    return format(_unsigned_zero(_finite(amount)), "f")


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """Will add decimals without losing a digit, whatever the ambient context says; nothing at all sums to 0."""
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def multiply(amount: Decimal, factor: Decimal) -> Decimal:
    """Will multiply two decimals without losing a digit."""
    return EXACT.multiply(_finite(amount), _finite(factor))


def round_money(amount: Decimal, currency: str) -> Decimal:
    """Will round half away from zero to the currency's exponent (0.005 CAD is 0.01, -0.005 is -0.01).

    Raises CurrencyUnknown, and AmountInvalid for NaN and infinities.
    """
    return _unsigned_zero(_finite(amount).quantize(quantum(currency), context=_ROUNDING))


def to_minor(amount: Decimal, currency: str) -> int:
    """Will return the amount as a whole number of minor units: 12.50 CAD is 1250.

    Raises AmountInvalid when the amount is finer than the currency: rounding is `round_money`'s job, in the open.
    """
    if round_money(amount, currency) != amount:
        raise AmountInvalid(f"{plain(amount)} is finer than the smallest unit of {currency}. Round it first, once.")
    return int(EXACT.scaleb(amount, exponent(currency)))


def from_minor(minor: int, currency: str) -> Decimal:
    """Will return minor units as an amount with the currency's decimals: 1250 of CAD is 12.50."""
    return _unsigned_zero(EXACT.scaleb(Decimal(minor), -exponent(currency)))


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency. It refuses to meet another currency; it is not rounded unless asked."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        """Refuse anything but a finite Decimal of a known currency."""
        exponent(self.currency)
        _finite(self.amount)

    @classmethod
    def parse(cls, text: object, currency: str) -> Self:
        """Will read an amount that may not be finer than its currency. Raises AmountInvalid, CurrencyUnknown."""
        return cls(parse_amount(text, currency=currency), currency)

    def __add__(self, other: "Money") -> "Money":
        """Add the same currency; raises CurrencyMismatch for another one."""
        if not isinstance(other, Money):
            return NotImplemented
        return Money(EXACT.add(self.amount, self._same(other)), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        """Subtract the same currency; raises CurrencyMismatch for another one."""
        if not isinstance(other, Money):
            return NotImplemented
        return Money(EXACT.subtract(self.amount, self._same(other)), self.currency)

    def __neg__(self) -> "Money":
        """Turn a charge into its credit."""
        return Money(_unsigned_zero(self.amount.copy_negate()), self.currency)

    def __lt__(self, other: "Money") -> bool:
        """Compare amounts of the same currency; raises CurrencyMismatch for another one."""
        if not isinstance(other, Money):
            return NotImplemented
        return self.amount < self._same(other)

    def __le__(self, other: "Money") -> bool:
        """Compare amounts of the same currency; raises CurrencyMismatch for another one."""
        if not isinstance(other, Money):
            return NotImplemented
        return self.amount <= self._same(other)

    def rounded(self) -> "Money":
        """Will round half away from zero to the currency's exponent."""
        return Money(round_money(self.amount, self.currency), self.currency)

    def __str__(self) -> str:
        """Write it for logs and messages: "CAD 12.50"; people are shown consortium.kernel.formats.money_text."""
        return f"{self.currency} {plain(self.amount)}"

    def _same(self, other: "Money") -> Decimal:
        """Return the other's amount, or refuse its currency."""
        if other.currency != self.currency:
            raise CurrencyMismatch(
                f"{self} and {other} cannot be added or compared: convert one at a dated, recorded rate first."
            )
        return other.amount


def _bounded(amount: Decimal, text: str) -> Decimal:
    """Refuse absurd sizes, write out a positive exponent, and take the minus from zero."""
    _, digits, power = amount.as_tuple()
    assert isinstance(power, int)  # noqa: S101 - the pattern admits no NaN or infinity
    if len(digits) + power > MAX_INTEGER_DIGITS or -power > MAX_DECIMALS or power > MAX_INTEGER_DIGITS:
        raise AmountInvalid(
            f"{_shown(text)} is out of range: at most {MAX_INTEGER_DIGITS} digits before the point and {MAX_DECIMALS} "
            "after it are read."
        )
    return _unsigned_zero(Decimal(format(amount, "f")))


def _finite(amount: Decimal) -> Decimal:
    """Refuse what is no finite Decimal; a float that slips in here is a programming mistake with a price."""
    if not isinstance(amount, Decimal) or not amount.is_finite():
        raise AmountInvalid(f"{_shown(amount)} is not an exact, finite amount.")
    return amount


def _unsigned_zero(amount: Decimal) -> Decimal:
    """Take the minus from a zero: nobody is owed -0.00."""
    return amount.copy_abs() if amount.is_zero() else amount


def _shown(value: object) -> str:
    """Quote what was given, shortened, with control and foreign characters made visible."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
