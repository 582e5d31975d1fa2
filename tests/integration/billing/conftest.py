"""September with its bill, and its two invoices issued: where many stories of money begin."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from billing.models import (
    BillingPeriod,
    Invoice,
)
from consortium.kernel import crash
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast
from tests.integration.billing.stories import (
    STORY_ROWS,
    bill_file,
    drafted,
    issued,
    set_up,
    take_in,
    three_to_one,
)


@pytest.fixture
def period(cast: Cast, at: datetime, tmp_path: Path) -> BillingPeriod:
    """September with its bill, open."""
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        return period


@pytest.fixture
def invoices(cast: Cast, period: BillingPeriod, at: datetime) -> list[Invoice]:
    """Cedar's 2,602.57 and Maple's 788.59, issued."""
    with consortium_scope(Scope.JOB):
        return issued(drafted(period, three_to_one(cast), at), at)


@pytest.fixture(autouse=True)
def _no_crash_left() -> Iterator[None]:
    yield
    crash.disarm()
