"""Which response times of a hub were kept in a period: the part of the monthly statement that support writes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consortium.kernel.periods import Period
from provisioning.models import Hub, SupportClock


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A word that was due in the period: when, when it came (None: not yet), and whether that was in time."""

    reference: str
    severity_en: str
    severity_fr: str
    kind: str
    started_at: datetime
    due_at: datetime
    answered_at: datetime | None
    in_time: bool


def promises_due(hub: Hub, period: Period) -> list[Kept]:
    """Will return what the consortium owed in the period, by when it was due.

    What the member or another severity ended before it was due was owed no more. Needs a scope that sees the hub.
    """
    clocks = SupportClock.objects.filter(request__hub=hub, due_at__gte=period.start, due_at__lt=period.end)
    found = []
    for clock in clocks.select_related("request__hub").order_by("due_at"):
        ended = clock.stopped_at
        in_time = ended is not None and ended <= clock.due_at
        if in_time and clock.stopped_by != "answer":
            continue
        found.append(
            Kept(
                reference=clock.request.reference,
                severity_en=clock.request.severity_en,
                severity_fr=clock.request.severity_fr,
                kind=clock.kind,
                started_at=clock.started_at,
                due_at=clock.due_at,
                answered_at=ended if clock.stopped_by == "answer" else None,
                in_time=in_time,
            )
        )
    return found


def support_evidence(hub: Hub, period: Period) -> list[dict[str, Any]]:
    """Will return the same as plain JSON for a statement; titles and names of people are no part of it."""
    return [
        {
            "reference": each.reference,
            "severity": {"en": each.severity_en, "fr": each.severity_fr},
            "kind": each.kind,
            "from": each.started_at.isoformat(),
            "to": each.due_at.isoformat(),
            "answered": each.answered_at.isoformat() if each.answered_at else None,
            "in_time": each.in_time,
        }
        for each in promises_due(hub, period)
    ]
