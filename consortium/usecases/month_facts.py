"""What a month's billing is told: what each member is entitled to and its use, handed over as values."""

from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

from billing.facts import MEASURES, MemberFacts
from consortium.kernel import jobs
from consortium.kernel.periods import Month
from consortium.usecases.service_credits import statements_of
from members.entitlements import Entitlements, entitlements_between
from members.models import Issuer, Membership
from provisioning.queries import month_use


def member_facts(issuer: Issuer, month: Month, *, at: datetime | None = None) -> list[MemberFacts]:
    """Each member's agreement, size and use of the month, in the zone of its agreement. Needs a consortium scope.

    With `at`, what is missing of the service level statements by then is told too.
    """
    use = month_use(month=month)
    fte = dict(Membership.objects.values_list("institution_id", "fte"))
    covering = _in_the_month(issuer, month)
    unsure = statements_of(month, [each.institution_id for each in covering], at=at) if at is not None else {}
    facts = []
    for agreed in covering:
        stated = unsure.get(agreed.institution_id, {})
        used = use.get(agreed.institution_id)
        values: Mapping[str, Any] = {
            name: getattr(used, name) for name in (*MEASURES, "gap_seconds") if hasattr(used, name)
        }
        facts.append(
            MemberFacts(
                institution_id=agreed.institution_id,
                slug=agreed.institution_slug,
                zone=agreed.zone,
                agreement_id=agreed.agreement_id,
                currency=agreed.currency,
                schedule=agreed.schedule,
                starts_on=agreed.starts_on,
                ends_on=agreed.ends_on,
                fte=fte.get(agreed.institution_id, 0),
                statements_missing=tuple(stated.get("missing", ())),
                statements_insufficient=tuple(stated.get("insufficient", ())),
                **values,
            )
        )
    return facts


def _in_the_month(issuer: Issuer, month: Month) -> list[Entitlements]:
    """What covers some of the month.

    Raises NeedsOperator where one member changed its agreement within the month: one invoice cannot follow two.
    """
    covering = entitlements_between(issuer_id=issuer.pk, first_day=month.first_day, next_day=month.next().first_day)
    for one, two in pairwise(covering):
        if one.institution_id == two.institution_id:
            raise jobs.NeedsOperator(
                f"{one.institution_slug} changed its agreement within {month}. Let the new version begin with a month."
            )
    return covering
