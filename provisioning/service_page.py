"""What the page of a hub's service level shows: the promise, each month's statement, and one month's evidence."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.functional import Promise as Words
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from consortium.kernel.periods import Month, Period, local_month, month_period
from members.entitlements import Entitlements, NoAgreement, entitlements
from provisioning.models import Hub, ServiceStatement, StatementQuestion
from provisioning.service_level.evidence import measured
from provisioning.service_level.statements import newest_statements
from provisioning.sla import Measurement

RESULTS: dict[str, tuple[str, Words]] = {
    "met": ("success", _("Kept")),
    "missed": ("danger", _("Missed")),
    "insufficient": ("warning", _("Too little data")),
    "not_measured": ("neutral", _("Not measured")),
}
REASONS: dict[str, Words] = {
    "maintenance": _("Maintenance announced in time"),
    "sign_on": _("The university's own sign-on was down"),
    "force_majeure": _("Force majeure"),
    "suspended": _("The hub was suspended"),
    "retired": _("The hub was retired"),
}
CHECKS: dict[str, Words] = {
    "answers": _("The hub did not answer"),
    "works": _("The synthetic user could not work"),
}


@dataclass(frozen=True, kw_only=True)
class Span:
    """An interval of the evidence, with what it was."""

    start: datetime
    end: datetime
    seconds: int
    what: Words | str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class AnswerDue:
    """A word that support owed in the month; `answered_at` None: it had not come when the statement was made."""

    reference: str
    severity: str
    is_first: bool
    due_at: datetime
    answered_at: datetime | None
    in_time: bool


@dataclass(frozen=True, kw_only=True)
class StatementRow:
    """A month of the table."""

    statement: ServiceStatement
    month: Month
    tone: str
    result: Words


@dataclass(frozen=True, kw_only=True)
class ServiceView:
    """All that templates/provisioning/service.html shows. `running` is the month that is not over yet."""

    promise: Entitlements | None
    rows: tuple[StatementRow, ...]
    shown: StatementRow | None
    outages: tuple[Span, ...]
    unknown: tuple[Span, ...]
    excluded: tuple[Span, ...]
    answers: tuple[AnswerDue, ...]
    questions: tuple[StatementQuestion, ...]
    running_month: Month
    running: Measurement | None
    running_share: Decimal | None


def service_view(hub: Hub, *, month: Month | None, at: datetime) -> ServiceView:
    """Will gather the page; `month` None shows the newest statement. Needs the institution's scope."""
    rows = tuple(
        StatementRow(
            statement=row,
            month=Month.parse(row.month),
            tone=RESULTS[row.result][0],
            result=RESULTS[row.result][1],
        )
        for row in newest_statements(ServiceStatement.objects.filter(hub=hub))
    )
    shown = next((row for row in rows if month is None or row.month == month), None)
    evidence = shown.statement.evidence if shown else {}
    running_month, running = _running(hub, at)
    known = running.served + running.down if running else None
    return ServiceView(
        promise=_promise(hub, at),
        rows=rows,
        shown=shown,
        outages=_spans(evidence, "outages", lambda each: CHECKS.get(each["check"], each["check"])),
        unknown=_spans(evidence, "unknown", lambda _each: ""),
        excluded=_spans(evidence, "excluded", lambda each: REASONS.get(each["reason"], each["reason"])),
        answers=_answers(evidence),
        questions=tuple(
            StatementQuestion.objects.filter(statement__hub=hub, statement__month=shown.statement.month).select_related(
                "asked_by"
            )
            if shown
            else ()
        ),
        running_month=running_month,
        running=running,
        running_share=Decimal(running.served.total_seconds()) / Decimal(known.total_seconds())
        if running and known
        else None,
    )


def _promise(hub: Hub, at: datetime) -> Entitlements | None:
    try:
        return entitlements(hub.institution_id, at=at)
    except NoAgreement:
        return None


def _running(hub: Hub, at: datetime) -> tuple[Month, Measurement | None]:
    month = local_month(at, hub.zone)
    whole = month_period(month, hub.zone)
    start = max(whole.start, hub.running_at or at)
    return month, measured(hub, Period(start, at)) if start < at else None


def _answers(evidence: dict[str, Any]) -> tuple[AnswerDue, ...]:
    """Statements from before there was support have none."""
    language = (get_language() or "en")[:2]
    return tuple(
        AnswerDue(
            reference=each["reference"],
            severity=each["severity"].get(language) or each["severity"]["en"],
            is_first=each["kind"] == "response",
            due_at=datetime.fromisoformat(each["to"]),
            answered_at=datetime.fromisoformat(each["answered"]) if each["answered"] else None,
            in_time=each["in_time"],
        )
        for each in evidence.get("support", ())
    )


def _spans(evidence: dict[str, Any], part: str, what: Any) -> tuple[Span, ...]:
    found = []
    for each in evidence.get(part, ()):
        start, end = datetime.fromisoformat(each["from"]), datetime.fromisoformat(each["to"])
        found.append(
            Span(
                start=start,
                end=end,
                seconds=int((end - start).total_seconds()),
                what=what(each),
                detail=each.get("detail", ""),
            )
        )
    return tuple(found)
