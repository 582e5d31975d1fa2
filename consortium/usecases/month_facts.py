"""What a month's billing is told: each member's agreement and its use, handed over as values."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from billing.facts import MemberFacts
from consortium.kernel import jobs
from consortium.kernel.periods import Month
from members.models import Agreement, Issuer
from members.schedule import Schedule
from provisioning.queries import month_use


def member_facts(issuer: Issuer, month: Month) -> list[MemberFacts]:
    """Each member's agreement and use of the month, in the zone of its agreement. Needs a consortium scope."""
    use = month_use(month=month)
    facts = []
    for agreement, ends_on in _in_the_month(issuer, month):
        used = use.get(agreement.institution_id)
        values: Mapping[str, Any] = (
            {
                "server_seconds": used.server_seconds,
                "memory_gib_seconds": used.memory_gib_seconds,
                "active_users": used.active_users,
                "gap_seconds": used.gap_seconds,
            }
            if used
            else {}
        )
        facts.append(
            MemberFacts(
                institution_id=agreement.institution_id,
                slug=agreement.institution.slug,
                zone=agreement.zone,
                agreement_id=agreement.pk,
                currency=agreement.currency,
                schedule=Schedule.parse(agreement.schedule),
                starts_on=agreement.starts_on,
                ends_on=ends_on,
                **values,
            )
        )
    return facts


def _in_the_month(issuer: Issuer, month: Month) -> list[tuple[Agreement, date | None]]:
    """The agreements that cover some of the month, each until the next version of it begins.

    Raises NeedsOperator where one member changed its agreement within the month: one invoice cannot follow two.
    """
    signed = Agreement.objects.filter(issuer=issuer, status__in=["in_force", "superseded", "ended"])
    versions = list(signed.select_related("institution").order_by("institution_id", "version"))
    found: dict[UUID, tuple[Agreement, date | None]] = {}
    for number, agreement in enumerate(versions):
        later = [each.starts_on for each in versions[number + 1 :] if each.institution_id == agreement.institution_id]
        ends = [day for day in (agreement.ends_on, *later[:1]) if day is not None]
        ends_on = min(ends) if ends else None
        is_over = ends_on is not None and (ends_on <= month.first_day or ends_on <= agreement.starts_on)
        if agreement.starts_on >= month.next().first_day or is_over:
            continue
        if agreement.institution_id in found:
            raise jobs.NeedsOperator(
                f"{agreement.institution} changed its agreement within {month}. Let the new version begin with a month."
            )
        found[agreement.institution_id] = (agreement, ends_on)
    return list(found.values())
