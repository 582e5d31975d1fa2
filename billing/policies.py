"""Allocation policies: which key a pool is split by, from which month on, and where the members approved it.

A policy in force never changes: the next version begins where it ends. Months before keep the policy they had.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _
from psycopg.types.range import DateRange

from billing.allocation import Method, PoolParked
from billing.matching import By as RuleBy
from billing.matching import Destination, Kind, MatchRule
from billing.models import AllocationPolicy, BillingPeriod
from billing.pool_rules import BASES, IDLE_OWN, RECOVERABLE, STEP_DOWN, PoolRules, Rule, check_rule
from billing.pool_splits import check_fed, order_of
from billing.rules import TAX_POOL
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.errors import Invalid
from consortium.kernel.periods import Month
from members.models import Issuer, User
from members.permissions import Permission, check_staff


class PolicyInvalid(Invalid):
    """The policy could split nothing, or would change a month that is closed."""

    code = "policy_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A policy before it is adopted. `decision` says where the members approved it: minutes, a vote, a clause."""

    pool_key: str
    method: str
    basis: str
    parameters: Mapping[str, Any]
    month: Month
    decision: str


METHODS: Final = (
    Method.EVEN, Method.PROPORTIONAL, Method.FIXED, Method.TIERED, Method.IDLE_WEIGHTED, Method.IDLE_EVEN,
    Method.DIRECT, STEP_DOWN, IDLE_OWN,
)  # fmt: skip


def check_policy(wanted: Wanted, *, issuer: Issuer) -> None:
    """Raise PolicyInvalid, with the field at fault, unless the policy could be adopted now."""
    try:
        MatchRule(RuleBy.EVERYTHING, Destination(Kind.POOL, wanted.pool_key))
    except Invalid as error:
        if wanted.pool_key != TAX_POOL:
            raise PolicyInvalid(error.message, field="pool_key") from error
    if not wanted.decision.strip():
        raise PolicyInvalid(_("Say where the members approved it: minutes, a vote, a clause."), field="decision")
    rule = Rule(policy=None, method=wanted.method, basis=wanted.basis, parameters=wanted.parameters)
    if wanted.method != RECOVERABLE:
        try:
            check_rule(rule)
        except PoolParked as error:
            raise PolicyInvalid(error.message, field=error.field or "parameters") from error
        _check_feeds(rule, wanted, issuer)
    elif wanted.pool_key != TAX_POOL:
        raise PolicyInvalid(_("Only tax can be recoverable."), field="method")
    _check_month(wanted, issuer)


@transaction.atomic
def adopt_policy(wanted: Wanted, *, issuer: Issuer, by: User | System, at: datetime) -> AllocationPolicy:
    """Let a policy hold from the month on; the one before ends there, a later one is withdrawn.

    Raises Forbidden, PolicyInvalid.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    Issuer.objects.select_for_update(no_key=True).get(pk=issuer.pk)
    check_policy(wanted, issuer=issuer)
    first = wanted.month.first_day
    versions = AllocationPolicy.objects.filter(issuer=issuer, pool_key=wanted.pool_key)
    for row in versions.filter(valid__overlap=DateRange(first, None)):
        row.valid = DateRange(row.valid.lower, first) if row.valid.lower < first else DateRange(empty=True)
        row.save(update_fields=["valid"])
    newest = versions.aggregate(newest=Max("version"))["newest"] or 0
    policy = AllocationPolicy.objects.create(
        issuer=issuer,
        pool_key=wanted.pool_key,
        version=newest + 1,
        method=wanted.method,
        basis=wanted.basis,
        parameters=dict(wanted.parameters),
        decision=wanted.decision.strip(),
        adopted_by=by if isinstance(by, User) else None,
        adopted_at=at,
        valid=DateRange(first, None),
    )
    after: dict[str, Fact] = {
        "pool": policy.pool_key, "version": policy.version, "method": policy.method, "basis": policy.basis,
        "from": first,
    }  # fmt: skip
    audit.record("billing.policy_adopted", policy, by=by, at=at, institution_id=None, after=after)
    return policy


def _check_feeds(rule: Rule, wanted: Wanted, issuer: Issuer) -> None:
    """A pool may feed pools that come to members in the end, never one that feeds it back."""
    if rule.method != STEP_DOWN:
        return
    rules = PoolRules(issuer, wanted.month.first_day, {wanted.pool_key: rule})
    try:
        for fed in order_of(wanted.pool_key, rules)[1:]:
            check_fed(fed, rules.of(fed))
    except PoolParked as error:
        raise PolicyInvalid(error.message, field="parameters") from error


def _check_month(wanted: Wanted, issuer: Issuer) -> None:
    """A month that is closing or closed keeps the policies that it was split by."""
    taken = BillingPeriod.objects.filter(issuer=issuer, month__gte=str(wanted.month)).exclude(status="open")
    if last := taken.order_by("-month").first():
        raise PolicyInvalid(
            _("%(month)s is %(status)s. Let the policy begin in %(next)s or later.")
            % {"month": last.month, "status": last.status, "next": Month.parse(last.month).next()},
            field="month",
        )


__all__ = ["BASES", "METHODS", "PolicyInvalid", "Wanted", "adopt_policy", "check_policy"]
