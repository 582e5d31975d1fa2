"""What the page of one hub shows, gathered with a bounded number of queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from consortium.kernel.charts import Chart
from consortium.kernel.periods import local_date
from consortium.models import Document
from provisioning.charts import hours_by_day
from provisioning.models import Environment, Hub, HubRevision
from provisioning.queries import DayUse, Health, HubUse, day_series, environment_of, health_of, use_between
from provisioning.states import HUB

DAYS = 30
_TONES = {
    "requested": "info",
    "approved": "info",
    "provisioning": "info",
    "running": "success",
    "updating": "info",
    "degraded": "warning",
    "moving": "info",
    "failed": "danger",
    "suspended": "warning",
    "retiring": "warning",
}


@dataclass(frozen=True, kw_only=True)
class RevisionView:
    """One revision with what it changed against the one before; `changes` are (path, before, after)."""

    revision: HubRevision
    changes: tuple[tuple[str, str, str], ...]
    is_running: bool


@dataclass(frozen=True, kw_only=True)
class HubView:
    """All that templates/provisioning/hub.html shows beside the hub's own row."""

    status: str
    tone: str
    next_step: str
    health: Health
    environment: Environment | None
    spec: dict[str, Any]
    admins: tuple[str, ...]
    is_behind: bool
    days: tuple[DayUse, ...]
    use: HubUse | None
    chart: Chart | None
    revisions: tuple[RevisionView, ...]
    may_open: bool


def hub_view(hub: Hub, *, with_use: bool, at: datetime) -> HubView:
    """Will gather the page in four queries, six with its use, however long its history is."""
    revisions = list(hub.revisions.select_related("author")[:20])
    spec = revisions[0].spec if revisions else {}
    state = HUB.state(hub.status)
    health = health_of(hub, at=at)
    today = local_date(at, hub.zone)
    first, end = today - timedelta(days=DAYS - 1), today + timedelta(days=1)
    days = day_series(first=first, end=end, hub=hub) if with_use else ()
    use = use_between(first, end, institution_id=hub.institution_id).get(hub.institution_id) if with_use else None
    return HubView(
        status=status_words(hub.status),
        tone=_TONES.get(hub.status, "neutral"),
        next_step=state.next_fr if (get_language() or "en").startswith("fr") else state.next_en,
        health=health,
        environment=environment_of(spec.get("environment", "")),
        spec=spec,
        admins=tuple(spec.get("sign_on", {}).get("admins", ())),
        is_behind=bool(revisions) and hub.observed_spec_hash != revisions[0].spec_hash,
        days=days,
        use=use.hubs.get(hub.slug) if use else None,
        chart=hours_by_day(days, first=first, end=end) if days else None,
        revisions=_revisions(hub, revisions),
        may_open=bool(hub.url) and hub.status in {"running", "updating", "degraded"},
    )


def taken_away(hub: Hub) -> tuple[Document, ...]:
    """Will return what was exported of the hub when it was retired, and its certificates."""
    kinds = ("take_away", "homes", "decommission_certificate", "deletion_certificate")
    rows = Document.objects.filter(subject_type="provisioning.Hub", subject_id=str(hub.pk), kind__in=kinds)
    return tuple(rows.order_by("kind", "language"))


def status_words(status: str) -> str:
    """Will return a hub's status in the reader's language."""
    words = {
        "requested": _("Requested"),
        "approved": _("Approved"),
        "provisioning": _("Being set up"),
        "running": _("Running"),
        "updating": _("Being updated"),
        "degraded": _("Degraded"),
        "moving": _("Moving"),
        "failed": _("Failed"),
        "suspended": _("Suspended"),
        "retiring": _("Being retired"),
        "retired": _("Retired"),
        "declined": _("Declined"),
    }
    return words.get(status, status)


def changes_between(before: Any, after: Any, path: str = "") -> list[tuple[str, str, str]]:
    """Will list where two specs differ, by path, with both values in words."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            change
            for key in sorted(before.keys() | after.keys())
            for change in changes_between(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if before == after else [(path, _shown(before), _shown(after))]


def _revisions(hub: Hub, revisions: Sequence[HubRevision]) -> tuple[RevisionView, ...]:
    older = [*revisions[1:], None]
    return tuple(
        RevisionView(
            revision=revision,
            changes=tuple(changes_between(before.spec, revision.spec)) if before is not None else (),
            is_running=revision.generation == hub.observed_generation,
        )
        for revision, before in zip(revisions, older, strict=True)
    )


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
