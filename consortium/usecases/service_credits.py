"""What a missed service level (provisioning) gives back on a member's invoice (billing) when a month closes."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from billing.facts import MemberFacts
from billing.models import BillingPeriod, MemberCharge
from billing.service_credits import Missed, credit_service
from consortium.kernel.audit import System
from consortium.kernel.periods import Month, month_period
from members.entitlements import entitlements_of
from members.models import Agreement, Institution, User
from provisioning.models import Hub, ServiceStatement
from provisioning.service_level.statements import SETTLED_AFTER, newest_statements

LOOKS_BACK: Final = 13


def credit_services(
    period: BillingPeriod, facts: Iterable[MemberFacts], *, by: User | System, at: datetime
) -> list[MemberCharge]:
    """Record, once each, what the newest statements up to the period's month owe its members.

    A statement that was credited before is left alone; a newer version of it is set off as an adjustment. Those in
    another currency than the member's agreement wait for a person. Needs a consortium scope.
    """
    members = {each.institution_id: each for each in facts}
    institutions = Institution.objects.in_bulk(list(members))
    found = []
    for missed, institution_id in _statements(members.values(), Month.parse(period.month)):
        charge = credit_service(
            missed,
            institution=institutions[institution_id],
            issuer=period.issuer,
            month=period.month,
            by=by,
            at=at,
        )
        found += [charge] if charge is not None else []
    return found


def statements_of(month: Month, institutions: Iterable[UUID], *, at: datetime) -> dict[UUID, dict[str, list[str]]]:
    """Return, by institution, the hubs without a statement of the month that is due, and those with no result.

    Under "missing" and "insufficient". Needs a consortium scope.
    """
    wanted = list(institutions)
    newest = {
        row.hub_id: row
        for row in newest_statements(ServiceStatement.objects.filter(institution_id__in=wanted, month=str(month)))
    }
    found: dict[UUID, dict[str, list[str]]] = {}
    for hub in Hub.objects.filter(institution_id__in=wanted, running_at__isnull=False).order_by("slug"):
        whole = month_period(month, hub.zone)
        statement = newest.get(hub.pk)
        if statement is not None and statement.result != "insufficient":
            continue
        is_due = hub.status not in {"suspended", "retiring", "retired"} and whole.end + SETTLED_AFTER <= at
        if statement is None and (not is_due or hub.running_at is None or hub.running_at >= whole.end):
            continue
        kind = "insufficient" if statement is not None else "missing"
        found.setdefault(hub.institution_id, {"missing": [], "insufficient": []})[kind].append(hub.slug)
    return found


def _statements(members: Iterable[MemberFacts], until: Month) -> Iterator[tuple[Missed, UUID]]:
    """The newest statement of each hub and month in the members' own currency, the oldest month first."""
    currencies = {each.institution_id: each.currency for each in members}
    rows = list(
        ServiceStatement.objects.filter(
            institution_id__in=list(currencies),
            month__lte=str(until),
            month__gt=str(until.plus(-LOOKS_BACK)),
        ).select_related("hub")
    )
    versions: dict[tuple[UUID, str], list[UUID]] = {}
    for row in rows:
        versions.setdefault((row.hub_id, row.month), []).append(row.pk)
    agreements = Agreement.objects.select_related("institution").in_bulk({row.agreement_id for row in rows})
    for row in sorted(newest_statements(rows), key=lambda each: (each.month, each.hub.slug)):
        known = versions[row.hub_id, row.month]
        promised = agreements.get(row.agreement_id)
        if promised and row.currency == currencies[row.institution_id] and (row.credit or len(known) > 1):
            fee = entitlements_of(promised).creditable_fee(row.hub.slug)
            yield _missed(row, known, fee), row.institution_id


def _missed(row: ServiceStatement, versions: list[UUID], fee: Decimal) -> Missed:
    return Missed(
        statement_id=row.pk,
        versions=versions,
        number=row.version,
        hub=row.hub.slug,
        month=row.month,
        availability=row.availability,
        target=row.target,
        share=row.credit_share,
        credit=row.credit,
        fee=fee,
        currency=row.currency,
    )
