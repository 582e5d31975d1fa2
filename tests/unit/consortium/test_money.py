"""Amounts are read strictly, kept exactly, rounded once, and never mixed."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.kernel.currencies import CURRENCY_EXPONENTS
from consortium.kernel.formats import money_text
from consortium.kernel.money import (
    AmountInvalid,
    CurrencyMismatch,
    CurrencyUnknown,
    Money,
    exact_sum,
    exponent,
    from_minor,
    multiply,
    parse_amount,
    plain,
    quantum,
    round_money,
    scale,
    to_minor,
)

NOT_AMOUNTS = [
    "",
    " ",
    "NaN",
    "-NaN",
    "sNaN",
    "Infinity",
    "-inf",
    "1E+400",
    "1_000",
    "1,000.00",
    "1 000",
    " 5",
    "5\n",
    "+5",
    "--5",
    "$5",
    "5 CAD",
    "٣",
    "５",
    "½",
    "0x10",
    "1.",
    ".5",
    "1e5",
    "−5",
    "1" * 25,
    "0." + "1" * 41,
    "9" * 10000,
]


@pytest.mark.parametrize("text", NOT_AMOUNTS)
def test_what_is_no_plain_amount_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(AmountInvalid) as refusal:
        parse_amount(text)
    assert refusal.value.message.endswith(".")
    assert len(refusal.value.message) < 300


@pytest.mark.parametrize("value", [1.5, 3, None, True, Decimal(1), b"1", float("nan"), ["1"]])
def test_only_text_is_an_amount(value: object) -> None:
    with pytest.raises(AmountInvalid):
        parse_amount(value)


@pytest.mark.parametrize("text", ["0", "12.50", "-0.01", "20.52022672899", "007.10", "123456789012345678901234"])
def test_an_amount_keeps_the_decimals_it_was_written_with(text: str) -> None:
    assert plain(parse_amount(text)).lstrip("-0") == text.lstrip("-0") or text == "0"
    assert scale(parse_amount(text)) == len(text.partition(".")[2])


def test_e_notation_is_read_only_where_a_bill_may_use_it() -> None:
    assert plain(parse_amount("1.6E-7", allow_exponent=True)) == "0.00000016"
    assert plain(parse_amount("1e3", allow_exponent=True)) == "1000"
    assert plain(parse_amount(".5", allow_exponent=True)) == "0.5"
    for text in ("1E+400", "1E-400", "1E+25", "NaN", "1E", "E5", "1E99999"):
        with pytest.raises(AmountInvalid):
            parse_amount(text, allow_exponent=True)


def test_an_amount_may_not_be_finer_than_its_currency() -> None:
    assert parse_amount("12.345", currency="KWD") == Decimal("12.345")
    for text, currency in (("12.345", "CAD"), ("12.3", "JPY"), ("12.340", "CAD")):
        with pytest.raises(AmountInvalid, match=currency):
            parse_amount(text, currency=currency)


def test_zero_has_no_minus_sign() -> None:
    assert plain(parse_amount("-0.00")) == "0.00"
    assert plain(round_money(Decimal("-0.004"), "CAD")) == "0.00"
    assert plain(from_minor(-0, "CAD")) == "0.00"
    assert str(-Money(Decimal("0.00"), "CAD")) == "CAD 0.00"


@pytest.mark.parametrize(
    ("currency", "digits"), [("JPY", 0), ("CAD", 2), ("USD", 2), ("KWD", 3), ("CLF", 4), ("ISK", 0)]
)
def test_each_currency_has_its_own_exponent(currency: str, digits: int) -> None:
    assert exponent(currency) == digits
    assert quantum(currency) == Decimal(1).scaleb(-digits)


@pytest.mark.parametrize("code", ["", "cad", "CADX", "XXX", "XAU", "HRK", "BGN", "ANG", "CUC", "ZWL", None, 7])
def test_a_currency_nobody_can_pay_in_is_refused(code: str) -> None:
    with pytest.raises(CurrencyUnknown):
        exponent(code)


def test_the_table_holds_the_active_codes() -> None:
    assert len(CURRENCY_EXPONENTS) == 165
    assert all(len(code) == 3 and code.isupper() for code in CURRENCY_EXPONENTS)


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.005", "CAD", "0.01"),
        ("-0.005", "CAD", "-0.01"),
        ("2.675", "CAD", "2.68"),
        ("2.665", "CAD", "2.67"),
        ("0.00499999999999999999999999", "CAD", "0.00"),
        ("0.5", "JPY", "1"),
        ("-0.5", "JPY", "-1"),
        ("0.0005", "KWD", "0.001"),
        ("5", "CAD", "5.00"),
    ],
)
def test_rounding_is_half_away_from_zero(amount: str, currency: str, rounded: str) -> None:
    assert plain(round_money(Decimal(amount), currency)) == rounded


def test_minor_units_and_amounts_are_the_same_money() -> None:
    assert to_minor(Decimal("12.50"), "CAD") == 1250
    assert plain(from_minor(1250, "CAD")) == "12.50"
    assert plain(from_minor(1250, "JPY")) == "1250"
    with pytest.raises(AmountInvalid, match="finer"):
        to_minor(Decimal("12.505"), "CAD")


def test_two_currencies_never_meet() -> None:
    assert Money.parse("1.10", "CAD") + Money.parse("2.20", "CAD") == Money(Decimal("3.30"), "CAD")
    assert Money.parse("1.10", "CAD") - Money.parse("2.20", "CAD") == Money(Decimal("-1.10"), "CAD")
    assert Money.parse("1.10", "CAD") < Money.parse("2.20", "CAD")
    assert Money(Decimal("1.105"), "CAD").rounded() == Money(Decimal("1.11"), "CAD")
    with pytest.raises(CurrencyMismatch):
        Money.parse("1.10", "CAD") + Money.parse("2.20", "USD")
    with pytest.raises(CurrencyMismatch):
        assert Money.parse("1.10", "CAD") < Money.parse("2.20", "USD")
    with pytest.raises(TypeError):
        Money.parse("1.10", "CAD") + Decimal(1)  # type: ignore[operator]


def test_money_is_made_of_exact_finite_amounts() -> None:
    for amount in (Decimal("NaN"), Decimal("Infinity"), 1.5):
        with pytest.raises(AmountInvalid):
            Money(amount, "CAD")  # type: ignore[arg-type]


def test_the_ambient_precision_changes_nothing() -> None:
    amount = Decimal("123456789012.345678901234567890")
    with localcontext(prec=3):
        assert plain(exact_sum([amount, amount])) == "246913578024.691357802469135780"
        assert plain(multiply(amount, Decimal(3))) == "370370367037.037036703703703670"
        assert plain(round_money(amount, "CAD")) == "123456789012.35"
        assert to_minor(Decimal("123456789012.35"), "CAD") == 12345678901235
        assert plain(parse_amount("123456789012.345678901234567890")) == plain(amount)
        assert money_text(amount, "CAD", language="en", code=True) == "123,456,789,012.35\xa0CAD"


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=11))
def test_what_is_written_is_read_again(amount: Decimal) -> None:
    assert parse_amount(plain(amount)) == amount
    assert abs(round_money(amount, "CAD") - amount) <= Decimal("0.005")
    assert round_money(-amount, "CAD") == -round_money(amount, "CAD")


@pytest.mark.parametrize(
    ("amount", "currency", "language", "code", "text"),
    [
        ("1234.5", "CAD", "en", True, "1,234.50 CAD"),
        ("1234.5", "CAD", "fr", True, "1 234,50 CAD"),
        ("1234.5", "CAD", "en", False, "$1,234.50"),
        ("1234.5", "CAD", "fr", False, "1 234,50 $"),
        ("-1234.565", "CAD", "en", True, "−1,234.57 CAD"),
        ("1234.5", "JPY", "en", True, "1,235 JPY"),
        ("1234.5", "KWD", "fr", True, "1 234,500 KWD"),
        ("0.5", "IQD", "en", True, "0.500 IQD"),
    ],
)
def test_money_is_shown_in_the_readers_language(
    amount: str, currency: str, language: str, code: bool, text: str
) -> None:
    shown = money_text(Decimal(amount), currency, language=language, code=code)
    assert shown.replace("\xa0", " ").replace("\u202f", " ") == text
