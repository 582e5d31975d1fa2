"""The monthly statement of a hub: measured against the agreement's promise, frozen with its evidence.

A statement is never changed. What turns out otherwise later (a question that is accepted) makes a newer version of it,
and the newest one counts; what was credited already is the caller's to set off.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import Month, Period, month_period
from consortium.kernel.tenancy import Scope, consortium_scope
from members.entitlements import NoAgreement, entitlements
from members.models import User
from provisioning.models import Hub, ServiceStatement
from provisioning.service_level.evidence import measured
from provisioning.sla import Measurement, Promise, Verdict, judge
from provisioning.support.evidence import support_evidence

METER = System("meter")
# Visits and looks may arrive a little late; after this nothing more is expected of a month.
SETTLED_AFTER = timedelta(hours=6)
MOST_MONTHS_BACK = 13
# A hub that slept, or was gone, all month long was promised to nobody.
_ASLEEP = ("suspended", "retiring", "retired")


class MonthRuns(PortalError):
    """A month that is not over has no statement yet."""

    code = "month_runs"


def make_due_statements(*, at: datetime) -> list[ServiceStatement]:
    """Will make the statement of every hub and month that is over, had a promise, and has none yet."""
    with consortium_scope(Scope.JOB):
        hubs = list(
            Hub.objects.filter(running_at__isnull=False, staging_of=None).select_related("institution").order_by("pk")
        )
        made = set(ServiceStatement.objects.values_list("hub_id", "month"))
    done = []
    for hub in hubs:
        for month in _months_over(hub, at):
            if (hub.pk, str(month)) in made:
                continue
            with consortium_scope(Scope.JOB):
                statement = make_statement(hub, month=month, at=at)
            if statement is not None:
                done.append(statement)
    return done


@transaction.atomic
def make_statement(
    hub: Hub, *, month: Month, at: datetime, by: User | System = METER, reason: str = ""
) -> ServiceStatement | None:
    """Will write the month's statement, or with `reason` a newer version of it; None where no agreement promised any.

    Without a reason the first version is returned as it stands. Raises MonthRuns.
    """
    whole = month_period(month, hub.zone)
    if at < whole.end:
        raise MonthRuns(_("%(month)s is not over yet. Its statement comes within a day of its end.") % {"month": month})
    Hub.objects.select_for_update(no_key=True).get(pk=hub.pk)
    newest = ServiceStatement.objects.filter(hub=hub, month=str(month)).first()
    if newest is not None and not reason:
        return newest
    start = max(whole.start, hub.running_at or whole.start)
    try:
        promised = entitlements(hub.institution_id, at=whole.end - timedelta(microseconds=1))
    except NoAgreement:
        return None
    if start >= whole.end:
        return None
    promise = Promise(
        availability=promised.service_level.availability,
        credits=tuple((each.below, each.credit) for each in promised.service_level.credits),
        monthly_fee=promised.creditable_fee(hub.slug),
        currency=promised.currency,
    )
    seen = measured(hub, Period(start, whole.end))
    if hub.status in _ASLEEP and not (seen.served or seen.down):
        return None
    statement = ServiceStatement.objects.create(
        institution_id=hub.institution_id,
        hub=hub,
        agreement_id=promised.agreement_id,
        month=str(month),
        version=newest.version + 1 if newest else 1,
        zone=hub.zone,
        made_at=at,
        reason=reason,
        **_figures(seen, judge(seen, promise), promise, support=support_evidence(hub, seen.period)),
    )
    audit.record(
        "provisioning.statement_made",
        statement,
        by=by,
        at=at,
        institution_id=hub.institution_id,
        after={"month": str(month), "version": statement.version, "result": statement.result},
        reason=reason,
    )
    return statement


def newest_statements(statements: Iterable[ServiceStatement]) -> list[ServiceStatement]:
    """Will keep the newest version of each hub's month, newest month first."""
    kept: dict[tuple[Any, str], ServiceStatement] = {}
    for row in statements:
        held = kept.get((row.hub_id, row.month))
        if held is None or row.version > held.version:
            kept[row.hub_id, row.month] = row
    return sorted(kept.values(), key=lambda row: row.month, reverse=True)


def _figures(seen: Measurement, verdict: Verdict, promise: Promise, *, support: list[dict[str, Any]]) -> dict[str, Any]:
    evidence = _evidence(seen, promise) | {"support": support}
    canonical = json.dumps(evidence, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    second = timedelta(seconds=1)
    return {
        "result": verdict.result.value,
        "target": promise.availability,
        "availability": verdict.availability,
        "served_seconds": seen.served // second,
        "down_seconds": seen.down // second,
        "unknown_seconds": seen.unknown // second,
        "excluded_seconds": seen.excluded // second,
        "credit_share": verdict.credit_share,
        "credit": verdict.credit,
        "currency": verdict.currency,
        "evidence": evidence,
        "evidence_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
    }


def _evidence(seen: Measurement, promise: Promise) -> dict[str, Any]:
    return {
        "period": _span(seen.period),
        "outages": [
            _span(each.period) | {"check": each.stream, "failed": each.failed, "detail": each.detail}
            for each in seen.outages
        ],
        "unknown": [_span(each) for each in seen.unknown_periods],
        "excluded": [
            _span(each.period) | {"reason": each.reason, "reference": each.reference} for each in seen.exclusions
        ],
        "promise": {
            "availability": str(promise.availability),
            "credits": [[str(below), str(share)] for below, share in promise.credits],
            "monthly_fee": str(promise.monthly_fee),
            "currency": promise.currency,
        },
    }


def _span(period: Period) -> dict[str, str]:
    return {"from": period.start.isoformat(), "to": period.end.isoformat()}


def _months_over(hub: Hub, at: datetime) -> list[Month]:
    """The months since the hub first ran that are over and settled, at most 13 of them."""
    assert hub.running_at is not None  # noqa: S101 - the caller asked for those alone
    month = Month.of((at - SETTLED_AFTER).date()).plus(-MOST_MONTHS_BACK)
    found = []
    while month_period(month, hub.zone).end + SETTLED_AFTER <= at:
        if month_period(month, hub.zone).end > hub.running_at:
            found.append(month)
        month = month.next()
    return found
