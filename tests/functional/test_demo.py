"""What the demonstration says of itself is true, even though its worker was killed twice."""

import hashlib
import os
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from tests.functional.conftest import ROOT, Demo

pytestmark = pytest.mark.slow


def test_it_ends_well_although_its_worker_was_killed_twice(demo: Demo) -> None:
    assert len(demo.killed) == 2
    assert demo.result["ok"] is True, demo.result
    assert all(step["ok"] for step in demo.result["steps"])


def test_there_is_one_paid_invoice_with_its_pdf(demo: Demo) -> None:
    invoice = demo.result["invoice"]
    assert invoice["status"] == "paid"
    pdf = Path(invoice["pdf_path"]).read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert hashlib.sha256(pdf).hexdigest() == invoice["pdf_sha256"]


def test_the_shares_sum_to_the_pool_and_the_ledger_balances(demo: Demo) -> None:
    allocation = demo.result["allocation"]
    assert sum(map(Decimal, allocation["shares"].values())) == Decimal(allocation["pool"])
    assert "uvic" in allocation["shares"]
    assert demo.result["ledger"]["balanced"] is True


def test_use_was_metered_for_one_person(demo: Demo) -> None:
    assert demo.result["usage"]["active_users"] == 1
    assert demo.result["usage"]["server_seconds"] >= 10


def portal(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [str(ROOT / "portal"), *words],
        cwd=ROOT,
        env=keep | {"PORTAL_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_second_demo_in_the_same_home_is_told_who_holds_it(demo: Demo) -> None:
    second = portal("demo", "--once", home=demo.home)
    assert second.returncode == 1
    assert str(demo.process.pid) in second.stderr
    assert "Traceback" not in second.stderr


def test_every_audit_chain_holds(demo: Demo) -> None:
    done = portal("manage", "verify_audit", home=demo.home)
    assert done.returncode == 0, done.stderr
    assert "every chain holds" in done.stdout


def bears(folder: Path, mark: bytes) -> bool:
    try:
        return mark in (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
