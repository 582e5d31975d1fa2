"""The months of the meter's samples: partitions made ahead of time, and dropped whole once nobody needs them.

Samples are the raw evidence of a month's use; hub-days are rolled up from them and stay. The months are UTC months,
because a partition is a place to keep rows, not a period that anybody is billed for.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from django.conf import settings
from django.db import connection, transaction

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.periods import Month, local_month
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.models import Sample

MADE_AHEAD: Final = 3
LEAST_KEPT: Final = 4  # months, whatever is set: PostgreSQL itself refuses to drop the last 90 days
METER: Final = System("meter")


@transaction.atomic
def make_sample_months(*, at: datetime) -> list[Month]:
    """Will make the partitions of this month and of the three after it; returns those that were not there yet."""
    this = local_month(at, "UTC")
    return [month for month in _from(this, MADE_AHEAD + 1) if _called("provisioning_make_sample_month", month)]


@transaction.atomic
def drop_sample_months(*, at: datetime) -> list[str]:
    """Will drop the samples of whole months older than SAMPLE_RETENTION_MONTHS; returns those months, as YYYY-MM."""
    kept = max(settings.SAMPLE_RETENTION_MONTHS, LEAST_KEPT)
    before = local_month(at, "UTC").plus(-kept)
    gone: list[str] = _called("provisioning_drop_sample_months", before)
    with consortium_scope(Scope.JOB):
        for month in gone:
            held = Sample(pk=uuid5(NAMESPACE_URL, f"samples/{month}"))  # stands for the rows that are no more
            audit.record(
                "provisioning.samples_dropped", held, by=METER, at=at, institution_id=None, after={"month": month}
            )
    return gone


def _called(function: str, month: Month) -> Any:
    with connection.cursor() as cursor:
        cursor.callproc(function, [month.first_day])
        return cursor.fetchone()[0]


def _from(first: Month, count: int) -> Iterator[Month]:
    return (first.plus(number) for number in range(count))
