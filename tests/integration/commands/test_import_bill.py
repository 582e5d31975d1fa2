"""`./portal manage import_bill`: one JSON document, three statuses, and nothing half done."""

import gzip
import json
import os
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.core.management import call_command

from billing import closing
from billing.models import BillImport, CloudAccount, CostRow, ProviderTotal
from consortium.kernel.documents import read
from consortium.kernel.money import exact_sum
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Document
from tests.cast import Cast, make_cast
from tests.integration.billing.stories import MONTH, RUN, STORY_ROWS, bill_file, drafted, set_up, three_to_one
from tests.integration.commands.portal import manage

Answer = tuple[int, dict[str, Any]]
Command = Callable[..., Answer]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in this process: its status, and the one document of its stdout."""

    def run(path: Path, *arguments: str, account: str = "demo-cloud") -> Answer:
        try:
            call_command("import_bill", str(path), "--account", account, "--json", *arguments)
        except SystemExit as end:
            return int(end.code or 0), json.loads(capsys.readouterr().out)
        return 0, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def story(cast: Cast, at: datetime) -> Cast:
    with consortium_scope(Scope.JOB):
        set_up(cast, at)
    return cast


def test_a_bill_goes_in_and_says_where_its_money_goes(story: Cast, command: Command, tmp_path: Path) -> None:
    path = bill_file(tmp_path, *STORY_ROWS)
    status, answer = command(path, "--create-account")
    assert status == 0
    assert answer == {
        "rows": 6,
        "accepted": 6,
        "billed_total": "472.50500000000",
        "currency": "USD",
        "periods": [MONTH],
        "by_pool": {
            "direct:cedar": "100.00500000000",
            "direct:maple": "50",
            "shared": "300.00",
            "tax": "22.50",
        },
        "version": 1,
        "already_imported": False,
        "errors": [],
        "account": "demo-cloud",
        "charged_in": MONTH,
        "unknown_columns": ["x_Note"],
        "bills": [
            {
                "period": MONTH,
                "version": 1,
                "rows": 6,
                "billed_total": "472.50500000000",
                "charged_in": MONTH,
                "already_imported": False,
            },
        ],
    }
    with consortium_scope(Scope.JOB):
        kept = Document.objects.get(subject_id=str(BillImport.objects.get().pk))
        assert read(kept) == path.read_bytes()  # what no column of ours holds stands in the file itself


def test_the_same_bill_again_is_no_second_one(story: Cast, command: Command, tmp_path: Path) -> None:
    path = bill_file(tmp_path, *STORY_ROWS)
    command(path, "--create-account")
    with consortium_scope(Scope.JOB):
        before = (CostRow.objects.count(), AuditEvent.objects.count(), Document.objects.count())
    zipped = tmp_path / "again.csv.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    status, answer = command(zipped)
    assert (status, answer["already_imported"], answer["version"], answer["rows"]) == (0, True, 1, 6)
    with consortium_scope(Scope.JOB):
        assert (CostRow.objects.count(), AuditEvent.objects.count(), Document.objects.count()) == before


def test_a_rehearsal_says_the_same_and_changes_nothing(story: Cast, command: Command, tmp_path: Path) -> None:
    path = bill_file(tmp_path, *STORY_ROWS)
    rehearsed = command(path, "--create-account", "--dry-run")
    with consortium_scope(Scope.JOB):
        assert not BillImport.objects.exists()
        assert not CloudAccount.objects.exists()
        assert not Document.objects.exists()
    assert command(path, "--create-account") == rehearsed


def test_the_parts_sum_to_the_bill(story: Cast, command: Command, focus_sample: Path) -> None:
    status, answer = command(focus_sample, "--create-account", "--period", MONTH)
    assert (status, answer["rows"], answer["billed_total"]) == (0, 300, "5.16919349920")
    assert exact_sum(map(Decimal, answer["by_pool"].values())) == Decimal("5.16919349920")
    assert (answer["periods"], answer["charged_in"]) == (["2024-09"], MONTH)


def test_an_unknown_account_is_bad_input_and_the_known_ones_are_named(
    story: Cast, command: Command, tmp_path: Path
) -> None:
    path = bill_file(tmp_path, *STORY_ROWS)
    command(path, "--create-account")
    status, answer = command(path, account="nobody")
    assert (status, answer["accepted"], answer["version"]) == (2, 0, None)
    assert "demo-cloud" in answer["errors"][0]["message"]


def test_an_account_is_known_by_its_name_and_by_its_number(story: Cast, command: Command, tmp_path: Path) -> None:
    path = bill_file(tmp_path, *STORY_ROWS)
    command(path, "--create-account")
    for name in ("demo-cloud", "0042", "Demo Cloud 0042"):
        assert command(path, account=name)[1]["already_imported"]


def test_a_bill_of_another_account_is_refused_with_its_line(story: Cast, command: Command, tmp_path: Path) -> None:
    command(bill_file(tmp_path, ("1.00", "")), "--create-account")
    other = bill_file(tmp_path, ("1.00", ""), name="other.csv", BillingAccountId="0043")
    status, answer = command(other)
    assert status == 2
    assert [(each["line"], each["column"]) for each in answer["errors"]] == [(2, "BillingAccountId")]


def test_broken_rows_are_named_and_none_is_kept(story: Cast, command: Command, tmp_path: Path) -> None:
    status, answer = command(bill_file(tmp_path, ("1.00", ""), ("NaN", ""), ("2.00", "[")), "--create-account")
    assert (status, answer["rows"], answer["accepted"], answer["billed_total"]) == (2, 3, 0, "0")
    assert [(each["line"], each["column"]) for each in answer["errors"]] == [(3, "BilledCost"), (4, "Tags")]
    with consortium_scope(Scope.JOB):
        assert not CostRow.objects.exists()


@pytest.mark.parametrize("arguments", [["--period", "2026-13"], ["--issuer", "nobody"], ["--invoice-total", "1e2"]])
def test_a_wrong_word_is_bad_input(arguments: list[str], story: Cast, command: Command, tmp_path: Path) -> None:
    status, answer = command(bill_file(tmp_path, ("1.00", "")), "--create-account", *arguments)
    assert status == 2
    assert answer["errors"][0]["message"]


def test_a_file_that_is_not_there_is_bad_input(story: Cast, command: Command, tmp_path: Path) -> None:
    status, answer = command(tmp_path / "nowhere.csv", "--create-account")
    assert (status, answer["rows"]) == (2, 0)


def test_a_closed_month_blocks(story: Cast, command: Command, at: datetime, tmp_path: Path) -> None:
    command(bill_file(tmp_path, *STORY_ROWS), "--create-account")
    with consortium_scope(Scope.JOB):
        period = closing.open_period(story.issuer, MONTH)
        drafted(period, three_to_one(story), at)
        closing.finish_closing(period, by=RUN, at=at)
    restated = bill_file(tmp_path, ("1.00", ""), name="restated.csv")
    status, answer = command(restated, "--period", MONTH)
    assert (status, answer["accepted"]) == (3, 0)
    assert MONTH in answer["errors"][0]["message"]
    status, answer = command(restated)  # without a month, the next open one takes it
    assert (status, answer["version"], answer["charged_in"]) == (0, 2, "2026-10")


def test_a_provider_s_invoice_with_another_total_blocks_until_it_agrees(
    story: Cast, command: Command, tmp_path: Path
) -> None:
    path = bill_file(tmp_path, *STORY_ROWS)
    status, answer = command(path, "--create-account", "--invoice-total", "472.50", "--invoice", "A-1")
    assert status == 3
    assert "472.505" in answer["errors"][0]["message"]
    status, answer = command(path, "--invoice-total", "472.51")  # half away from zero, once
    assert (status, answer["errors"]) == (0, [])
    with consortium_scope(Scope.JOB):
        assert ProviderTotal.objects.count() == 2


def test_the_command_is_called_from_anywhere_and_keeps_stdout_for_programs(
    committed_db: str, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.COMMAND):
        set_up(make_cast(at), at)
    bill_file(tmp_path, *STORY_ROWS)
    urls = {
        name: urlunsplit(urlsplit(os.environ[name])._replace(path=f"/{committed_db}"))
        for name in ("DATABASE_URL", "DATABASE_OWNER_URL")
    }
    words = ("import_bill", "bill.csv", "--account", "demo-cloud", "--create-account", "--json")
    answer = manage(*words, cwd=tmp_path, **urls)
    assert (answer.status, answer.json["rows"]) == (0, 6)
    wrong = manage("import_bill", "bill.csv", "--json", cwd=tmp_path, **urls)
    assert (wrong.status, wrong.json["error"]["code"]) == (2, "usage")
