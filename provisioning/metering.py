"""The meter: looks at each hub, turns names into pseudonyms at once, and writes what it saw, or that it saw nothing.

A look that failed is written as failed: a gap, never zero use. Looking twice for one instant writes once.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.conf import settings

from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.keys import member_key
from provisioning.drivers import driver_for, target_of
from provisioning.gateways.base import GatewayError, HubDriver, ServerSample, StorageMeter
from provisioning.models import Hub, Sample, SamplingRun
from provisioning.pseudonyms import pseudonym
from provisioning.rollups import metered_hubs, roll_day, roll_recent, storage_interval
from provisioning.specs import CHECK_USER

log = structlog.get_logger(__name__)

__all__ = ["roll_day", "roll_recent", "sample_all", "sample_hub"]

CONCURRENT_LOOKS = 8


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What one look at one hub brought: servers, or the reason why there are none to be seen."""

    servers: Sequence[ServerSample] = ()
    error: str = ""
    stored: int | None = None


def sample_hub(hub: Hub, *, at: datetime) -> SamplingRun:
    """Will look at one hub and write what it saw as of `at`; a second call for the same instant returns the first run.

    Never raises for a hub that does not answer: the run then has `ok=False` and the reason.
    """
    with consortium_scope(Scope.JOB):
        if seen := SamplingRun.objects.filter(hub=hub, at=at).first():
            return seen
        wants_storage = hub.pk in _due_for_storage([hub], at=at)
    return _write(hub, _look(hub, _driver_of(hub), wants_storage), at=at)


def sample_all(*, at: datetime) -> list[SamplingRun]:
    """Will look at every hub that should be running, some at a time, and write each by itself."""
    with consortium_scope(Scope.JOB):
        hubs = list(metered_hubs())
        due = _due_for_storage(hubs, at=at)
    if not hubs:
        return []
    # Threads only talk to hubs: the database, which has the keys of clusters, stays with this one.
    drivers = {hub.cluster_id: _driver_of(hub) for hub in {hub.cluster_id: hub for hub in hubs}.values()}
    with ThreadPoolExecutor(max_workers=CONCURRENT_LOOKS, thread_name_prefix="meter") as pool:
        places = [drivers[hub.cluster_id] for hub in hubs]
        looks = list(pool.map(_look, hubs, places, [hub.pk in due for hub in hubs]))
    return [_write(hub, look, at=at) for hub, look in zip(hubs, looks, strict=True)]


def _driver_of(hub: Hub) -> HubDriver | _Look:
    """The hub's driver, or the look that failed for want of one."""
    try:
        return driver_for(hub.cluster)
    except PortalError as error:
        return _Look(error=error.message)


def _due_for_storage(hubs: Sequence[Hub], *, at: datetime) -> set[UUID]:
    """The hubs whose homes were not measured lately: walking through them each time would cost more than it tells."""
    since = at - storage_interval(settings.SAMPLE_INTERVAL_SECONDS)
    measured = SamplingRun.objects.filter(hub__in=hubs, at__gt=since, storage_bytes__isnull=False)
    return {hub.pk for hub in hubs} - set(measured.values_list("hub_id", flat=True))


def _look(hub: Hub, driver: HubDriver | _Look, wants_storage: bool) -> _Look:
    if isinstance(driver, _Look):
        return driver
    try:
        target = target_of(hub)
        servers = [server for server in driver.sample(target) if server.user_name != CHECK_USER]
        stored = driver.stored_bytes(target) if wants_storage and isinstance(driver, StorageMeter) else None
        return _Look(servers=servers, stored=stored)
    except (GatewayError, PortalError) as error:
        return _Look(error=error.message)
    except Exception as error:
        # One hub's surprise must not keep the meter from the others; what went wrong is in the log.
        log.exception("meter.look_failed", hub=hub.slug)
        return _Look(error=type(error).__name__)


def _write(hub: Hub, look: _Look, *, at: datetime) -> SamplingRun:
    """Write the run with its samples, or neither, in one transaction."""
    with consortium_scope(Scope.JOB):
        rows, error = _pseudonymous(hub, look, at) if not look.error else ([], look.error)
        run, made = SamplingRun.objects.get_or_create(
            hub=hub,
            at=at,
            defaults={
                "institution_id": hub.institution_id,
                "ok": not error,
                "servers": len(rows),
                "error": error[:300],
                "storage_bytes": None if error else look.stored,
                "interval_seconds": settings.SAMPLE_INTERVAL_SECONDS,
            },
        )
        if made:
            Sample.objects.bulk_create(rows)
            _note_health(hub, at=at, ok=run.ok)
            crash_point("meter.before_commit")
    if made and error:
        log.warning("meter.gap", hub=hub.slug, error=error)
    return run


def _pseudonymous(hub: Hub, look: _Look, at: datetime) -> tuple[list[Sample], str]:
    """The samples with nobody's name in them; a server's own name is its owner's words, so it is one too."""
    try:
        key = member_key(hub.institution_id)
    except PortalError as refused:
        return [], refused.message
    rows = [
        Sample(
            institution_id=hub.institution_id,
            hub=hub,
            at=at,
            pseudonym=pseudonym(key, server.user_name),
            server=pseudonym(key, server.server_name) if server.server_name else "",
            started_at=server.started,
            ready=server.ready,
            memory_bytes=server.memory_bytes,
            gpus=server.gpus,
        )
        for server in look.servers
    ]
    return rows, ""


def _note_health(hub: Hub, *, at: datetime, ok: bool) -> None:
    rows = Hub.objects.filter(pk=hub.pk)
    if ok:
        rows.update(healthy_at=at, unreachable_since=None)
    else:
        rows.filter(unreachable_since=None).update(unreachable_since=at)
