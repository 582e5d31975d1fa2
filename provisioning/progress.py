"""How far the making of a hub is: the steps of the work, and the panel in which people watch them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from consortium.kernel.formats import duration_text
from consortium.kernel.jobs import silence_allowed, stalled
from consortium.kernel.periods import zone as zone_of
from consortium.models import Job
from provisioning.models import Hub

# The work's steps in their order: what the job row calls them, and what people read.
RECONCILE_STEPS: Mapping[str, Any] = {
    "validate": gettext_lazy("Check the specification"),
    "reserve": gettext_lazy("Reserve a place on the cluster"),
    "write": gettext_lazy("Write what the hub should be"),
    "start": gettext_lazy("Start the hub"),
    "healthy": gettext_lazy("Wait until the hub answers"),
    "verify": gettext_lazy("Compare what runs with the specification"),
}


@dataclass(frozen=True, kw_only=True)
class StepView:
    """One line of the list of steps; `state` is done, current, failed or waiting."""

    label: str
    state: str
    note: str


@dataclass(frozen=True, kw_only=True)
class ProgressPanel:
    """What templates/components/progress.html shows; `state` is queued, running, stalled, failed or succeeded."""

    title: str
    state: str
    done: int
    total: int
    step: str
    elapsed: int
    steps: tuple[StepView, ...]
    log: tuple[str, ...]
    message: str
    reference: str

    @property
    def is_open(self) -> bool:
        """Whether anything may still change without a person's act."""
        return self.state in {"queued", "running", "stalled"}

    @property
    def may_retry(self) -> bool:
        """Whether the retry button is of use."""
        return self.state == "failed"


def progress_panel(hub: Hub, job: Job, *, at: datetime) -> ProgressPanel:
    """Will return the panel of the hub's work as it stands at that instant, in the reader's language."""
    title = _("Setting up %(name)s") if hub.running_at is None else _("Updating %(name)s")
    return panel_of(
        job,
        title=title % {"name": hub.name},
        steps=RECONCILE_STEPS,
        done_words=_("The hub is ready."),
        zone=hub.zone,
        at=at,
    )


def panel_of(
    job: Job, *, title: str, steps: Mapping[str, Any], done_words: str, zone: str, at: datetime
) -> ProgressPanel:
    """Will return the panel of any work with these steps, in the reader's language; its log in the zone's time."""
    state = _state(job, at)
    lines = _last_attempt(job.log, next(iter(steps)))
    begun = {line["step"]: datetime.fromisoformat(line["at"]) for line in reversed(lines)}
    end = job.finished_at if job.finished_at and state != "running" else at
    return ProgressPanel(
        title=title,
        state=state,
        done=len(steps) if state == "succeeded" else min(job.done, len(steps)),
        total=len(steps),
        step=_step_text(job, state, steps, done_words),
        elapsed=int((end - job.created_at).total_seconds()),
        steps=_steps(job, state, begun, end, steps),
        log=_log_lines(job.log, zone),
        message=job.error,
        reference=str(job.pk),
    )


def _state(job: Job, at: datetime) -> str:
    if job.state == "queued":
        return "stalled" if at - job.run_after > silence_allowed() else "queued"
    if job.state == "running":
        return "stalled" if stalled(job, at=at) else "running"
    return "succeeded" if job.state == "succeeded" else "failed"


def _step_text(job: Job, state: str, steps: Mapping[str, Any], done_words: str) -> str:
    if state == "succeeded":
        return done_words
    if state == "queued" and job.error:
        return _("Tries again shortly: %(why)s") % {"why": job.error}
    return str(steps.get(job.step, "")) or _("Waits for a worker.")


def _steps(
    job: Job, state: str, begun: Mapping[str, datetime], end: datetime, steps: Mapping[str, Any]
) -> tuple[StepView, ...]:
    """Each step with its elapsed time, which runs from its first line to the first line of the next one."""
    names = tuple(steps)
    current = len(names) if state == "succeeded" else names.index(job.step) if job.step in steps else -1
    views = []
    for index, step in enumerate(names):
        place = "done" if index < current else "waiting"
        if index == current:
            place = "failed" if state == "failed" else "current"
        note = ""
        if step in begun and index <= current:
            until = next((begun[later] for later in names[index + 1 :] if later in begun), end)
            note = duration_text(until - begun[step], language=get_language() or "en")
        views.append(StepView(label=str(steps[step]), state=place, note=note))
    return tuple(views)


def _last_attempt(lines: Sequence[Mapping[str, Any]], first: str) -> list[Mapping[str, Any]]:
    """The log from the last time the work began: it starts over from the first step after every interruption."""
    starts = [index for index, line in enumerate(lines) if line["step"] == first]
    return list(lines[starts[-1] :] if starts else lines)


def _log_lines(lines: Sequence[Mapping[str, Any]], zone: str) -> tuple[str, ...]:
    place = zone_of(zone)
    return tuple(
        f"{datetime.fromisoformat(line['at']).astimezone(place):%H:%M:%S} {line['message'] or line['step']}"
        for line in lines
    )
