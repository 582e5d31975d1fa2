"""What operators do about drift on a hub's staff page: compare, repair, read what was found."""

from django import forms
from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from consortium.models import Job
from members.permissions import Permission
from members.staff_admin import Act
from provisioning.drift import compare_hub, last_comparison, repair_hub
from provisioning.models import Hub


def _found(hub: Hub) -> list[tuple[str, object]]:
    return [("Hub", hub.name), ("Cluster", hub.cluster), ("Last comparison", comparison_words(hub))]


DRIFT_ACTS = (
    Act(
        name="compare",
        label="Compare with its specification",
        explain="The cluster is asked what would change if the hub were made again; nothing is changed.",
        form=forms.Form,
        run=compare_hub,
        states=("running", "degraded"),
        permission=Permission.OPERATE_HUBS,
        preview=_found,
    ),
    Act(
        name="repair",
        label="Repair",
        explain="What differs from the specification is made equal again, whoever changed it. The hub may restart; "
        "people's servers go on.",
        form=forms.Form,
        run=repair_hub,
        states=("running", "degraded"),
        permission=Permission.OPERATE_HUBS,
        preview=_found,
    ),
)


class ShowsDrift:
    """The line of a hub's page that says what the last comparison found."""

    @admin.display(description="last comparison")
    def last_comparison(self, hub: Hub) -> SafeString | str:
        """Each place that differs, wanted and found; secrets are dots."""
        return comparison_words(hub)


def comparison_words(hub: Hub) -> SafeString | str:
    """What the last comparison found, for a person."""
    job = last_comparison(hub)
    if job is None:
        return "never"
    if job.state != "succeeded":
        return _unfinished(job)
    when = f"{job.finished_at:%Y-%m-%d %H:%M} UTC" if job.finished_at else ""
    rows = job.result.get("differences", [])
    if not rows:
        return f"{when}: {'superseded by newer work' if job.result.get('superseded') else 'no difference'}"
    outcome = "found" if job.result.get("left") else "found and repaired"
    items = format_html_join("", "<li>{}: wanted {}, found {}</li>", rows)
    return format_html("{}: {} {}<ul>{}</ul>", when, job.result.get("count", len(rows)), outcome, items)


def _unfinished(job: Job) -> str:
    if job.state in {"failed", "needs_operator"}:
        return f"It could not be made: {job.error}"
    return f"It is being made{f' (tries again: {job.error})' if job.error else ''}: reload the page in a moment."
