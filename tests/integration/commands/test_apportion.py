"""The calculator at the command line: every figure of the money book's table, and bad input by status and field."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.integration.commands.portal import manage

TABLE: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "even, tie": (
        {"currency": "CAD", "total": "100.00", "method": "even", "members": {"A": "1", "B": "1", "C": "1"}},
        {"A": "33.34", "B": "33.33", "C": "33.33"},
    ),
    "proportional, a zero": (
        {
            "currency": "USD",
            "total": "1000.00",
            "method": "proportional",
            "members": {"A": "333.3333", "B": "250", "C": "0", "D": "416.6667"},
        },
        {"A": "333.33", "B": "250.00", "C": "0.00", "D": "416.67"},
    ),
    "long decimals": (
        {
            "currency": "USD",
            "total": "20.52022672899",
            "method": "proportional",
            "members": {"A": "1", "B": "2", "C": "4"},
        },
        {"A": "2.93", "B": "5.86", "C": "11.73"},
    ),
    "credit": (
        {"currency": "CAD", "total": "-100.00", "method": "even", "members": {"A": "1", "B": "1", "C": "1"}},
        {"A": "-33.34", "B": "-33.33", "C": "-33.33"},
    ),
    "no minor unit": (
        {"currency": "JPY", "total": "10000", "method": "proportional", "members": {"A": "1", "B": "2", "C": "4"}},
        {"A": "1429", "B": "2857", "C": "5714"},
    ),
    "three decimals": (
        {"currency": "KWD", "total": "100.000", "method": "even", "members": {"A": "1", "B": "1", "C": "1"}},
        {"A": "33.334", "B": "33.333", "C": "33.333"},
    ),
    "floor 50, cap 600": (
        {
            "currency": "USD",
            "total": "1000.00",
            "method": "proportional",
            "members": {"A": "90", "B": "9", "C": "1"},
            "floor": "50.00",
            "cap": "600.00",
        },
        {"A": "600.00", "B": "350.00", "C": "50.00"},
    ),
    "idle, weighted": (
        {
            "currency": "USD",
            "total": "500.00",
            "method": "idle_weighted",
            "members": {"A": "120", "B": "60", "C": "0"},
        },
        {"A": "333.33", "B": "166.67", "C": "0.00"},
    ),
    "step-down, as the issue writes it": (
        {
            "currency": "USD",
            "pools": [
                {"name": "net", "total": "600.01", "to": {"support": "20", "A": "50", "B": "30"}},
                {"name": "support", "total": "300.00", "to": {"A": "1", "B": "2"}},
            ],
            "direct": {"A": "1000.00", "B": "500.00"},
        },
        {"A": "1440.01", "B": "960.00"},
    ),
}


def in_this_process(capsys: pytest.CaptureFixture[str], path: Path) -> Any:
    """The command without the second that a process costs; its stdout holds one document."""
    try:
        call_command("apportion", str(path))
    except SystemExit as end:
        return end.code, json.loads(capsys.readouterr().out)
    return 0, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("case", TABLE)
def test_the_tables_figures_come_out_of_the_command(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, shares = TABLE[case]
    path = tmp_path / "case.json"
    path.write_text(json.dumps(document))
    status, answer = in_this_process(capsys, path)
    assert (status, answer["shares"], answer["currency"]) == (0, shares, document["currency"])
    assert list(answer) == ["currency", "shares", "sum"]


def test_the_calculator_needs_no_server_and_makes_no_home(tmp_path: Path) -> None:
    """The database's address leads nowhere and the home cannot be made: only the file is looked at."""
    document, shares = TABLE["step-down, as the issue writes it"]
    (tmp_path / "pools.json").write_text(json.dumps(document))
    answer = manage(
        "apportion",
        "pools.json",
        cwd=tmp_path,
        DATABASE_URL="postgresql://x:y@127.0.0.1:1/none",
        DATABASE_OWNER_URL="",
        REDIS_URL="redis://127.0.0.1:1/0",
        PORTAL_HOME="/proc/no-home-here",
    )
    assert (answer.status, answer.stderr) == (0, "")
    assert answer.json == {"currency": "USD", "shares": shares, "sum": "2400.01"}


def test_a_wrong_call_ends_with_two_and_says_so_in_json_and_in_words(tmp_path: Path) -> None:
    answer = manage("apportion", "one.json", "two.json", cwd=tmp_path)
    assert answer.status == 2
    assert answer.json["error"]["code"] == "usage"
    assert "two.json" in answer.stderr


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ('{"currency": "CAD", "total": "NaN", "method": "even", "members": {"A": "1"}}', "amount_invalid", "total"),
        ('{"currency": "XXX", "total": "1", "method": "even", "members": {"A": "1"}}', "currency_unknown", "currency"),
        ('{"currency": "CAD", "total": "1", "method": "even", "members": {}}', "members_empty", "members"),
        ('{"currency": "CAD", "total": "1", "method": "even"}', "field_missing", "members"),
        ("{", "json_invalid", None),
        ('{"currency": "CAD", "pools": {}}', "type_wrong", "pools"),
    ],
)
def test_bad_input_ends_with_two_and_names_its_field(
    text: str, code: str, field: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    status, answer = in_this_process(capsys, path)
    assert status == 2
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"code", "message", "field"}
    assert (answer["error"]["code"], answer["error"]["field"]) == (code, field)


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, answer = in_this_process(capsys, tmp_path / "nowhere.json")
    assert (status, answer["error"]["code"]) == (2, "file_unreadable")
