"""The jobs that suspend, wake and retire a hub: each asks the driver for an end state, so starting over is harmless."""

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from consortium.kernel import audit, documents
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.jobs import Run, job_kind
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Document
from provisioning.certificate import certificate_pdf
from provisioning.drivers import target_of
from provisioning.gateways.base import GatewayError, HomeExporter, HubDriver, HubState, Observed
from provisioning.gateways.carrying import HomeCarrier
from provisioning.leaving.bundle import take_away
from provisioning.leaving.homes import pack_carried
from provisioning.leaving.snapshots import keep_snapshots
from provisioning.lifecycle import RESUME, RETIRE, STEPS, SUSPEND
from provisioning.models import Hub
from provisioning.patience import MAX_ATTEMPTS, OutsideErrors, keep_asking, ready_driver, wait_for_hold
from provisioning.pauses import note_pause
from provisioning.requests import spec_of
from provisioning.states import HUB

_BY = audit.System("provisioning")


@job_kind(SUSPEND, max_attempts=MAX_ATTEMPTS)
def suspend(run: Run) -> dict[str, Any]:
    """Stop the hub and every server on it."""
    hub = _hub(run)
    if hub.status == "suspended":
        return {}
    with OutsideErrors(run):
        _step(run, "stop")
        driver = ready_driver(hub)
        keep_asking(run, hub, lambda: driver.suspend(target_of(hub)))
        crash_point("suspend.stopped")
    _settle(hub, "suspended", action="provisioning.hub_suspended", mail="provisioning.mail_hub_suspended")
    return {}


@job_kind(RESUME, max_attempts=MAX_ATTEMPTS)
def resume(run: Run) -> dict[str, Any]:
    """Wake the hub and wait until it answers."""
    hub = _hub(run)
    if hub.status == "running":
        return {}
    with OutsideErrors(run):
        _step(run, "start")
        driver = ready_driver(hub)
        observed = keep_asking(run, hub, lambda: driver.resume(target_of(hub)))
        crash_point("resume.started")
    _settle(
        hub,
        "running",
        action="provisioning.hub_resumed",
        mail="provisioning.mail_hub_ready",
        url=observed.url,
        version=observed.version,
        healthy_at=now(),
        unreachable_since=None,
    )
    return {"url": observed.url}


@job_kind(RETIRE, max_attempts=MAX_ATTEMPTS)
def retire(run: Run) -> dict[str, Any]:
    """Export what the university takes away, end the hub, certify it."""
    hub = _hub(run)
    if hub.status == "retired":
        return {}
    with OutsideErrors(run):
        driver = ready_driver(hub)
        _step(run, "export")
        kept = _export(run, hub, driver)
        crash_point("retire.exported")
        snapshots = keep_snapshots(run, hub, hub.cluster, driver)
        _step(run, "destroy")
        seen = keep_asking(run, hub, lambda: _destroyed(driver, hub))
        crash_point("retire.destroyed")
        _step(run, "certify")
        certificate = _certify(hub, kept, seen, snapshots, at=now())
        crash_point("retire.certified")
    _settle(hub, "retired", action="provisioning.hub_retired", mail="provisioning.mail_hub_retired", url="")
    return {"certificate": str(certificate.pk), "export": [str(document.pk) for document in kept]}


def _hub(run: Run) -> Hub:
    hub_id = UUID(run.arguments["hub"])
    wait_for_hold(hub_id)
    with consortium_scope(Scope.JOB):
        return Hub.objects.select_related("cluster", "institution").get(pk=hub_id)


def _step(run: Run, step: str) -> None:
    steps = STEPS[run.job.kind]
    run.report(step, done=steps.index(step), total=len(steps))
    crash_point(f"{run.job.kind}.{step}")


def _settle(hub: Hub, to: str, *, action: str, mail: str, **values: Any) -> None:
    with consortium_scope(Scope.JOB):
        row = Hub.objects.select_for_update().get(pk=hub.pk)
        if row.status == to:
            return
        was, at = row.status, now()
        HUB.move(row, to, **values)
        note_pause(row, to=to, at=at)
        audit.record(
            action,
            row,
            by=_BY,
            at=at,
            institution_id=row.institution_id,
            before={"status": was},
            after={"status": to},
            deliver_to=(mail,),
        )
        crash_point("lifecycle.before_commit")


def _destroyed(driver: HubDriver, hub: Hub) -> Observed:
    """End it and look; an end that cannot be seen is none."""
    driver.destroy(target_of(hub), keep_data=False)
    seen = driver.observe(target_of(hub))
    if seen.state is not HubState.ABSENT:
        raise GatewayError(f"{hub.slug} is still {seen.state} after it was ended", permanent=False)
    return seen


def _export(run: Run, hub: Hub, driver: HubDriver) -> list[Document]:
    """Keep the bundle, and the homes where the driver can export them; what is kept already is not made again."""
    with consortium_scope(Scope.JOB):
        held = {each.kind: each for each in export_of(hub)}
        spec = spec_of(hub.revisions.get(generation=hub.generation))
    kept = list(held.values())
    with tempfile.TemporaryDirectory(prefix="take-away-") as folder:
        makers: dict[str, Callable[[], Path]] = {"take_away": lambda: take_away(hub, spec, driver, into=Path(folder))}
        if isinstance(driver, HomeExporter):
            makers["homes"] = lambda: driver.export_homes(target_of(hub), into=Path(folder))
        elif isinstance(driver, HomeCarrier):
            makers["homes"] = lambda: _carried_homes(run, hub, driver, into=Path(folder))
        for kind, make in makers.items():
            if kind not in held:
                kept.append(_keep(hub, kind, keep_asking(run, hub, make), at=now()))
    return kept


def _carried_homes(run: Run, hub: Hub, driver: HubDriver, *, into: Path) -> Path:
    """The homes of a hub on a cluster: it must sleep, since a volume is in one place at a time."""
    assert isinstance(driver, HomeCarrier)  # noqa: S101 - the caller has looked
    target = target_of(hub)
    keep_asking(run, hub, lambda: driver.suspend(target))
    crash_point("retire.asleep")
    homes = keep_asking(run, hub, lambda: driver.homes(target))
    path = pack_carried(driver, target, homes, into=into, ask=lambda read: keep_asking(run, hub, read))
    keep_asking(run, hub, lambda: driver.end_carrying(target))
    return path


def export_of(hub: Hub) -> list[Document]:
    """Will return what was exported of a retired hub, and its certificate. Needs a scope that sees them."""
    kinds = ("take_away", "homes")
    return list(Document.objects.filter(subject_type="provisioning.Hub", subject_id=str(hub.pk), kind__in=kinds))


def _keep(hub: Hub, kind: str, path: Path, *, at: datetime) -> Document:
    with consortium_scope(Scope.JOB):
        media_type = "application/zip" if path.suffix == ".zip" else "application/gzip"
        content = path.read_bytes()
        return documents.store(
            content,
            kind=kind,
            name=path.name,
            media_type=media_type,
            subject=hub,
            institution_id=hub.institution_id,
            at=at,
        )


def _certify(
    hub: Hub, kept: list[Document], seen: Observed, snapshots: tuple[int, datetime | None], *, at: datetime
) -> Document:
    first: Document | None = None
    for language in ("en", "fr"):
        with consortium_scope(Scope.JOB):
            document = documents.store(
                certificate_pdf(hub, kept, seen, language=language, at=at, snapshots=snapshots),
                kind="decommission_certificate",
                name=f"{hub.slug}-certificate-{language}.pdf",
                media_type="application/pdf",
                subject=hub,
                institution_id=hub.institution_id,
                at=at,
                language=language,
            )
        first = first or document
    assert first is not None  # noqa: S101 - there are two languages
    return first
