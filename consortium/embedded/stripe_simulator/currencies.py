"""Minor units and what the simulator's Stripe keeps as its fee."""

from __future__ import annotations

import re

from consortium.embedded.stripe_simulator.problems import StripeRefusalError, invalid

NO_DECIMALS = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMALS = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
LARGEST_AMOUNT = 99_999_999
BANK_CURRENCIES = {"acss_debit": {"cad", "usd"}, "us_bank_account": {"usd"}}


def currency_code(value: object, param: str) -> str:
    """A three-letter code in Stripe's lower case."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]{3}", value):
        raise invalid(param, f"Invalid currency: {value}")
    return value.lower()


def decimals(currency: str) -> int:
    """How many digits stand after the point: 0 for yen, 3 for dinars, else 2."""
    if currency in NO_DECIMALS:
        return 0
    return 3 if currency in THREE_DECIMALS else 2


def check_amount(amount: int, currency: str, param: str) -> None:
    """Refuses what Stripe refuses: too large, or a dinar amount whose last digit is not 0."""
    if amount > LARGEST_AMOUNT:
        raise StripeRefusalError("Amount must be no more than 999,999.99", code="amount_too_large", param=param)
    if currency in THREE_DECIMALS and amount % 10:
        raise invalid(param, f"Amounts in {currency} must end with 0 in their smallest unit.")


def display(amount: int, currency: str) -> str:
    """The amount for a person, such as `1234.50 CAD`; integers only, so that nothing is rounded."""
    digits = decimals(currency)
    sign, amount = ("-" if amount < 0 else ""), abs(amount)
    whole, part = divmod(amount, 10**digits)
    return f"{sign}{whole}{f'.{part:0{digits}d}' if digits else ''} {currency.upper()}"


def fee(amount: int, currency: str, method: str) -> int:
    """Minor units: 2.9 % and 30 cents for a card, 1 % and at most 5.00 for a bank debit; half a cent goes up."""
    unit = int(10 ** decimals(currency))
    if method == "card":
        return (amount * 29 + 500) // 1000 + 30 * unit // 100
    return min((amount + 50) // 100, 5 * unit)
