"""`./portal bench meter [SAMPLES]`: a month of samples rolled up, against one plain aggregate over the same rows.

Twenty hubs, twenty people on each. Rolled up once more, the days come out the same.
"""

import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from bench.books import CLOSED_AT, DAYS, World

MEMBERS = 20
# Each life of a server as PostgreSQL alone finds it: what no roll-up can do without.
FLOOR = """
SELECT count(*) FROM (
    SELECT hub_id, pseudonym, server, started_at, min(at), max(at), bool_or(ready), max(memory_bytes), max(gpus)
    FROM provisioning_sample WHERE hub_id = ANY(%s) GROUP BY 1, 2, 3, 4
) AS lives
"""


def run(samples: int) -> None:
    """Measure and say, in the database that Django is connected to."""
    world = World(MEMBERS)
    made = _timed(lambda: world.add_samples(samples))
    sys.stdout.write(f"{samples} samples written by one statement: {made:.1f} s\n")
    first = _timed(lambda: _rolled(world))
    before = _days(world)
    again = _timed(lambda: _rolled(world))
    if _days(world) != before:
        raise SystemExit("rolled up again the days came out differently")
    floor = _timed(lambda: _aggregate(world))
    for what, ours in ((f"roll up {samples} samples of {MEMBERS} hubs", first), ("roll them up again", again)):
        sys.stdout.write(
            f"{what:<44}{ours:8.1f} s {'one aggregate over the rows':>34}{floor:8.1f} s   × {ours / floor:5.1f}\n"
        )


def _rolled(world: World) -> None:
    from consortium.kernel.tenancy import Scope, consortium_scope
    from provisioning.models import Hub
    from provisioning.rollups import roll_days

    with consortium_scope(Scope.JOB):
        hubs = list(Hub.objects.filter(institution__in=world.members))
    month = [date(2026, 10, 1) + timedelta(days=number) for number in range(DAYS)]
    for hub in hubs:
        roll_days(hub, days=month, at=CLOSED_AT)


def _days(world: World) -> list[Any]:
    from consortium.kernel.tenancy import Scope, consortium_scope
    from provisioning.models import HubDay

    with consortium_scope(Scope.JOB):
        rows = HubDay.objects.filter(institution__in=world.members).order_by("hub", "day")
        return list(rows.values_list("hub", "day", "server_seconds", "memory_gib_seconds", "active_users", "sessions"))


def _aggregate(world: World) -> None:
    from django.db import connection

    from consortium.kernel.tenancy import Scope, consortium_scope
    from provisioning.models import Hub

    with consortium_scope(Scope.JOB), connection.cursor() as cursor:
        keys = list(Hub.objects.filter(institution__in=world.members).values_list("pk", flat=True))
        cursor.execute(FLOOR, [keys])
        cursor.fetchone()


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
