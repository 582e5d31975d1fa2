"""No float touches money: not in the code of its paths, not in a column of its tables."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection, models

ROOT = Path(__file__).resolve().parents[3]
PATHS = (
    *sorted((ROOT / "billing").rglob("*.py")),
    *sorted((ROOT / "members").glob("schedule*.py")),
    *(ROOT / "consortium" / "usecases" / f"{name}.py" for name in ("close_period", "costs", "month_facts")),
    ROOT / "consortium" / "kernel" / "money.py",
    ROOT / "consortium" / "kernel" / "currencies.py",
)


def floats_in(path: Path) -> Iterator[str]:
    """Every literal, name or field that is a float, with its line; how long to wait is no money."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    waits = {
        id(node.value)
        for node in nodes
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id.endswith("_SECONDS")
    }
    for node in nodes:
        is_literal = isinstance(node, ast.Constant) and isinstance(node.value, float) and id(node) not in waits
        is_name = isinstance(node, ast.Name) and node.id in {"float", "FloatField"}
        is_field = isinstance(node, ast.Attribute) and node.attr == "FloatField"
        if isinstance(node, ast.expr) and (is_literal or is_name or is_field):
            yield f"{path.relative_to(ROOT)}:{node.lineno}"


def test_the_code_of_money_knows_no_float() -> None:
    assert len(PATHS) > 100
    assert [place for path in PATHS for place in floats_in(path)] == []


def test_the_scan_sees_what_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    odd = tmp_path / "odd.py"
    odd.write_text("rate = 1.5\namount = float('2')\nfield = models.FloatField()\nfine = 2 / 1\n", encoding="utf-8")
    assert list(floats_in(odd)) == ["odd.py:1", "odd.py:2", "odd.py:3"]


@pytest.mark.django_db
def test_no_table_of_money_has_a_float_column() -> None:
    ours = {model._meta.db_table for model in apps.get_app_config("billing").get_models()}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE data_type IN ('real',"
            " 'double precision') AND table_schema = 'public' AND table_name = ANY(%s)",
            [sorted(ours)],
        )
        assert cursor.fetchall() == []
    assert not [
        field
        for model in apps.get_app_config("billing").get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.FloatField)
    ]
