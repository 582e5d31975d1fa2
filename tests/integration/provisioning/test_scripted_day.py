"""Metering against truth: a day of sessions on a real hub, compressed into seconds, follows a script to the interval.

Four people may sign in. Three work side by side; then one works on while the meter is away, as it is when the portal
is down, and another one comes and goes unseen; the fourth only signs in. What the meter says is held against what they
did.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Self

import pytest
from django.conf import settings
from django.db import connection

from consortium.kernel import jobs
from consortium.kernel.clock import now
from consortium.kernel.periods import Month, local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from members.keys import make_member_key
from provisioning.gateways.base import HubTarget
from provisioning.gateways.jupyterhub.student import StudentSession
from provisioning.metering import roll_day, sample_all
from provisioning.models import Hub, SamplingRun
from provisioning.queries import month_use
from provisioning.requests import approve_hub
from tests.cast import Cast, make_cast
from tests.unit.provisioning.stories import WISH, requested_hub
from tests.verification.local_hubs import LocalSite, local_site

pytestmark = pytest.mark.slow

TARGET = HubTarget(slug="cedar-script", generation=1)
INTERVAL = 2
# Who works in the first part, from when, and for how many seconds once the server is ready.
FIRST_PART = (("ada", 0, 6), ("bob", 1, 9), ("grace", 2, 6))
AWAY = 12


@dataclass
class Visit:
    """What a person really did: when the server was asked for, and when it was gone."""

    who: str
    asked: datetime
    gone: datetime

    @property
    def seconds(self) -> float:
        """How long the server lived."""
        return (self.gone - self.asked).total_seconds()


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalSite]:
    with local_site(tmp_path_factory.mktemp("portal") / "hubs") as made:
        monkeypatch.setattr(settings, "PORTAL_HOME", made.root.parent)
        monkeypatch.setattr(settings, "SAMPLE_INTERVAL_SECONDS", INTERVAL)
        yield made


@pytest.fixture
def hub(committed_db: str, site: LocalSite) -> Hub:
    """A hub that runs, with the four people on it."""
    cast: Cast = make_cast(now())
    wish = replace(WISH, users=frozenset({"ada", "bob", "grace", "carol"}))
    hub = requested_hub(cast, at=now(), slug=TARGET.slug, wish=wish)
    with consortium_scope(Scope.STAFF):
        make_member_key(cast.university, at=now())
        job = approve_hub(hub, by=cast.staff, at=now())
    assert jobs.run(job.pk)
    with consortium_scope(Scope.JOB):
        return Hub.objects.select_related("cluster").get(pk=hub.pk)


class Meter:
    """The meter's loop, a look each interval, until it goes away."""

    def __init__(self) -> None:
        self._over, self._away = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @contextmanager
    def away(self, seconds: float) -> Iterator[None]:
        """Nobody looks for as long as the block lasts, and for so many seconds at least."""
        back = time.monotonic() + seconds
        self._away.set()
        yield
        time.sleep(max(0.0, back - time.monotonic()))
        self._away.clear()

    def _look(self) -> None:
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due = max(due + INTERVAL, time.monotonic())
            if not self._away.is_set():
                sample_all(at=now())
        connection.close()


@contextmanager
def at_work(hub: Hub, site: LocalSite, who: str, visits: list[Visit]) -> Iterator[None]:
    """Somebody signs in and has a server for as long as the block lasts."""
    with StudentSession(hub.url) as student:
        student.sign_in(who, site.password(TARGET, who))
        asked = now()
        student.start_server()
        yield
        student.stop_server()
        visits.append(Visit(who, asked, now()))


def play(hub: Hub, site: LocalSite, meter: Meter) -> list[Visit]:
    """What everybody did."""
    visits: list[Visit] = []

    def live(who: str, start: int, seconds: int) -> None:
        time.sleep(start)
        with at_work(hub, site, who, visits):
            time.sleep(seconds)

    with ThreadPoolExecutor(len(FIRST_PART)) as pool:
        list(pool.map(live, *zip(*FIRST_PART, strict=True)))
    with StudentSession(hub.url) as carol:
        carol.sign_in("carol", site.password(TARGET, "carol"))
    with at_work(hub, site, "ada", visits):
        time.sleep(2 * INTERVAL)
        with meter.away(AWAY):
            time.sleep(2 * INTERVAL)  # what follows the last look by less is taken as seen
            with at_work(hub, site, "bob", visits):
                time.sleep(INTERVAL)
        time.sleep(2 * INTERVAL)
    time.sleep(2 * INTERVAL)
    return visits


def gaps(hub: Hub, over: datetime) -> list[tuple[datetime, datetime]]:
    """The stretches in which nobody looked, from the hub's first start on: by the rule, from the looks."""
    assert hub.running_at is not None
    with consortium_scope(Scope.JOB):
        looks = list(SamplingRun.objects.filter(hub=hub, ok=True).order_by("at").values_list("at", flat=True))
    length = timedelta(seconds=INTERVAL)
    return [(a + length, b) for a, b in pairwise([hub.running_at, *looks, over]) if b - a > 2 * length]


def overlap(visit: Visit, gap: tuple[datetime, datetime]) -> float:
    """How many seconds of a visit fell into a gap."""
    return max((min(visit.gone, gap[1]) - max(visit.asked, gap[0])).total_seconds(), 0.0)


def test_a_scripted_day_is_metered_to_the_interval_and_what_nobody_saw_is_a_gap(hub: Hub, site: LocalSite) -> None:
    day = local_date(now(), hub.zone)
    with Meter() as meter:
        visits = play(hub, site, meter)
        over = now()
    if local_date(over, hub.zone) != day:
        pytest.skip("midnight fell into the script")
    row = roll_day(hub, day=day, at=over)
    with consortium_scope(Scope.JOB):
        use = month_use(month=Month.of(day))[hub.institution_id]
    unseen = gaps(hub, over)
    known = [visit for visit in visits if not any(start <= visit.asked and visit.gone <= end for start, end in unseen)]

    assert (len(visits), len(known)) == (5, 4), "bob's second visit fell wholly into the time away"
    assert (use.active_users, row.sessions) == (3, 4), "carol started nothing"
    truth = sum(visit.seconds - sum(overlap(visit, gap) for gap in unseen) for visit in known)
    assert abs(row.server_seconds - truth) <= len(known) * INTERVAL + 1, "each session to the interval"
    assert abs(row.gap_seconds - sum((end - start).total_seconds() for start, end in unseen)) <= 1
    assert row.gap_seconds >= AWAY - 2 * INTERVAL, "the time away is a gap, and nothing is made up in it"
    assert abs(row.memory_gib_seconds * 2 - row.server_seconds) <= 1, "each server is guaranteed half a GiB"
    with consortium_scope(Scope.JOB):
        assert SamplingRun.objects.filter(hub=hub, storage_bytes__isnull=False).exists(), "homes were measured"
    assert site.driver.stored_bytes(TARGET) > 0
    assert roll_day(hub, day=day, at=over).server_seconds == row.server_seconds
