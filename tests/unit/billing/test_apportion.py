"""The calculator answers exactly or says what is wrong and where."""

from typing import Any

import pytest

from billing.apportion import ApportionInvalid, apportion, read_document


def document(**changes: Any) -> dict[str, Any]:
    """An ordinary document, changed; None leaves a field out."""
    base = {"currency": "CAD", "total": "100.00", "method": "even", "members": {"A": "1", "B": "1", "C": "1"}}
    return {key: value for key, value in (base | changes).items() if value is not None}


def test_the_answer_has_shares_in_order_and_their_sum() -> None:
    assert apportion(document()) == {
        "currency": "CAD",
        "shares": {"A": "33.34", "B": "33.33", "C": "33.33"},
        "sum": "100.00",
    }
    assert list(apportion(document(members={"b": "1", "a": "1"}))["shares"]) == ["a", "b"]


def test_the_total_is_converted_once_and_bounds_are_in_the_new_currency() -> None:
    answer = apportion(
        document(
            currency="USD", total="730.00", method="proportional", members={"A": "90", "B": "9", "C": "1"},
            fx_rate="1.3698630137", fx_currency="CAD", floor="50.00", cap="600.00",
        )
    )  # fmt: skip
    assert answer == {"currency": "CAD", "shares": {"A": "600.00", "B": "350.00", "C": "50.00"}, "sum": "1000.00"}


def test_idle_use_is_in_the_currency_of_the_pool() -> None:
    answer = apportion(
        document(method="idle_even", total="5.00", currency="USD", members={"A": "2", "B": "0"},
                 fx_rate="100", fx_currency="JPY")
    )  # fmt: skip
    assert answer["shares"] == {"A": "350", "B": "150"}


def test_a_cost_from_a_bill_and_whole_json_numbers_are_exact_too() -> None:
    assert apportion(document(total="1E+2"))["sum"] == "100.00"
    assert apportion(document(total=100, members={"A": 1}))["shares"] == {"A": "100.00"}


WRONG: list[tuple[str, str | None, dict[str, Any]]] = [
    ("amount_invalid", "total", {"total": "NaN"}),
    ("amount_invalid", "total", {"total": "1E+400"}),
    ("amount_invalid", "total", {"total": "1_000"}),
    ("amount_invalid", "total", {"total": "١٠"}),
    ("amount_invalid", "total", {"total": 100.0}),
    ("amount_invalid", "total", {"total": True}),
    ("amount_invalid", "total", {"total": 10**40}),
    ("field_missing", "total", {"total": None}),
    ("field_missing", "method", {"method": None}),
    ("field_missing", "members", {"members": None}),
    ("field_missing", "currency", {"currency": None}),
    ("currency_unknown", "currency", {"currency": "XXX"}),
    ("currency_unknown", "currency", {"currency": ["CAD"]}),
    ("currency_unknown", "fx_currency", {"fx_rate": "1", "fx_currency": "dollar"}),
    ("method_unknown", "method", {"method": "fair"}),
    ("method_unknown", "method", {"method": ["even"]}),
    ("type_wrong", "members", {"members": ["A", "B"]}),
    ("members_empty", "members", {"members": {}}),
    ("member_invalid", "members", {"members": {"": "1"}}),
    ("member_invalid", "members", {"members": {"\ud800": "1"}}),
    ("amount_invalid", "members.A", {"members": {"A": "one"}}),
    ("amount_invalid", "members.A", {"members": {"A": None}}),
    ("weight_negative", "members.B", {"members": {"A": "2", "B": "-1"}, "method": "proportional"}),
    ("basis_all_zero", "members", {"members": {"A": "0"}, "method": "proportional"}),
    ("percentages_not_100", "members", {"members": {"A": "99.99"}, "method": "fixed"}),
    ("used_above_total", "total", {"members": {"A": "100.01"}, "method": "idle_weighted"}),
    ("floor_infeasible", "floor", {"floor": "33.34"}),
    ("floor_invalid", "floor", {"floor": "0.001"}),
    ("cap_infeasible", "cap", {"cap": "33.33"}),
    ("field_missing", "fx_currency", {"fx_rate": "1.3"}),
    ("field_missing", "fx_rate", {"fx_currency": "USD"}),
    ("rate_invalid", "fx_rate", {"fx_rate": "0", "fx_currency": "USD"}),
    ("rate_invalid", "fx_rate", {"fx_rate": "1.3", "fx_currency": "CAD"}),
    ("field_unknown", "flor", {"flor": "50"}),
    ("field_unknown", "pools", {"pools": []}),
    ("field_missing", "pools", {"method": "step_down", "total": None, "members": None}),
    ("field_unknown", "total", {"method": "step_down", "pools": [], "members": None}),
    ("field_missing", "pools.0.total", {"method": "step_down", "total": None, "members": None,
                                        "pools": [{"name": "a", "to": {"A": "1"}}]}),
    ("pool_order", "pools.0.to.a", {"method": "step_down", "total": None, "members": None,
                                    "pools": [{"name": "a", "total": "1", "to": {"a": "1"}}]}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "field", "changes"), WRONG)
def test_bad_input_is_named_with_its_field(code: str, field: str | None, changes: dict[str, Any]) -> None:
    with pytest.raises(ApportionInvalid) as refusal:
        apportion(document(**changes))
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert refusal.value.as_dict()["error"]["message"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("json_invalid", ""),
        ("json_invalid", "[]"),
        ("json_invalid", "{"),
        ("json_invalid", b"\xff\xfe{\x00}"),
        ("json_invalid", "[" * 100_000),
        ("json_invalid", '{"total": ' + "9" * 5000 + "}"),
        ("key_twice", '{"members": {"A": "1", "A": "2"}}'),
        ("amount_invalid", '{"total": NaN}'),
    ],
)
def test_a_file_the_parser_would_mend_in_silence_is_refused(code: str, text: str | bytes) -> None:
    with pytest.raises(ApportionInvalid) as refusal:
        read_document(text)
    assert refusal.value.code == code


def test_a_file_is_read_with_or_without_a_byte_order_mark() -> None:
    assert read_document(b'\xef\xbb\xbf{"total": "1.00"}') == {"total": "1.00"}
