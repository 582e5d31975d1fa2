"""The proof that people can work: a synthetic user visits each hub, and what came of it is written down.

A hub about which nothing can be proven has no visits, so its time stays unknown; it is never taken for good or bad.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.conf import settings

from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.drivers import driver_for, target_of
from provisioning.gateways.base import GatewayError, ProofImpossibleError, WorkProver
from provisioning.models import Hub, WorkCheck
from provisioning.rollups import metered_hubs

log = structlog.get_logger(__name__)

CONCURRENT_VISITS = 4


@dataclass(frozen=True, kw_only=True)
class _Visit:
    """How one visit went; `step` is the one that failed, empty when none did."""

    step: str = ""
    error: str = ""
    milliseconds: int = 0


def prove_all(*, at: datetime) -> list[WorkCheck]:
    """Will send the synthetic user to every hub that should run, some at a time, and write each visit by itself."""
    with consortium_scope(Scope.JOB):
        provers = [(hub, prover) for hub in metered_hubs() if (prover := _prover(hub)) is not None]
    hubs = [hub for hub, _ in provers]
    if not hubs:
        return []
    # Threads only talk to hubs: the database, which has the keys of clusters, stays with this one.
    with ThreadPoolExecutor(max_workers=CONCURRENT_VISITS, thread_name_prefix="proof") as pool:
        visits = list(pool.map(_visit, hubs, [prover for _, prover in provers]))
    return [_write(hub, visit, at=at) for hub, visit in zip(hubs, visits, strict=True) if visit is not None]


def prove_hub(hub: Hub, *, at: datetime) -> WorkCheck | None:
    """Will send the synthetic user to one hub; None when nothing can be proven about it."""
    prover = _prover(hub)
    visit = _visit(hub, prover) if prover is not None else None
    return _write(hub, visit, at=at) if visit is not None else None


def _prover(hub: Hub) -> WorkProver | None:
    try:
        driver = driver_for(hub.cluster)
    except PortalError:
        return None
    return driver if isinstance(driver, WorkProver) else None


def _visit(hub: Hub, prover: WorkProver) -> _Visit | None:
    steps: list[str] = []
    started = time.monotonic()
    error = ""
    try:
        prover.prove(target_of(hub), lambda step, _message: steps.append(step))
    except ProofImpossibleError as impossible:
        log.warning("proof.impossible", hub=hub.slug, why=impossible.message)
        return None
    except (GatewayError, PortalError) as failed:
        error = failed.message
    except Exception as failed:
        log.exception("proof.visit_failed", hub=hub.slug)
        error = type(failed).__name__
    spent = int((time.monotonic() - started) * 1000)
    step = (steps or ["sign_in"])[-1] if error else ""
    return _Visit(step=step, error=error, milliseconds=spent)


def _write(hub: Hub, visit: _Visit, *, at: datetime) -> WorkCheck:
    with consortium_scope(Scope.JOB):
        check, made = WorkCheck.objects.get_or_create(
            hub=hub,
            at=at,
            defaults={
                "institution_id": hub.institution_id,
                "ok": not visit.error,
                "step": visit.step,
                "error": visit.error[:300],
                "milliseconds": visit.milliseconds,
                "interval_seconds": settings.WORK_CHECK_INTERVAL_SECONDS,
            },
        )
    if made and visit.error:
        log.warning("proof.failed", hub=hub.slug, step=visit.step, error=visit.error)
    return check
