"""What a hub would cost in a month and what is left of the entitlement: use (provisioning) beside prices (billing).

An estimate, and its basis with it: users by the slabs of the agreement, cloud cost by what a GiB-hour cost lately. The
dues are owed already and do not change. Only sums of at least three members are ever shown to another one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from billing.budgets import budget_for
from billing.cloud_rates import CloudRate, Used, cloud_rate, passed_on_cost
from billing.forecasts import forecast
from billing.prices import PriceSchedule, dues_by_month, user_charge
from billing.queries import costs_of
from consortium.kernel.money import EXACT, exact_sum, plain, round_money
from consortium.kernel.periods import Month, local_month
from consortium.kernel.tenancy import Scope, consortium_scope
from members.entitlements import Entitlements
from provisioning.queries import month_use
from provisioning.spending import Spending
from provisioning.wishes import MIB, guaranteed_mib

LOOKS_BACK: Final = 6
HOURS_OF_A_MONTH: Final = Decimal(730)
_MIB_OF_A_GIB: Final = Decimal(1024)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """As much of a wish as its price depends on; memory is the limit of one server, in bytes."""

    memory_bytes: int
    max_servers: int
    expected_users: int

    @property
    def guaranteed_gib(self) -> Decimal:
        """The memory that a server is guaranteed, which is what is metered."""
        return guaranteed_mib(self.memory_bytes // MIB) / _MIB_OF_A_GIB


@dataclass(frozen=True, kw_only=True)
class UsersPart:
    """What the expected people add to the slabs, above those who are active already (in `month`; None: nobody yet)."""

    month: Month | None
    before: int
    expected: int
    amount: Decimal


@dataclass(frozen=True, kw_only=True)
class CloudPart:
    """Cloud cost that is passed on: `amount` for the expected people, `most` with every server on all month long."""

    rate: CloudRate
    guaranteed_gib: Decimal
    amount: Decimal
    most: Decimal


@dataclass(frozen=True, kw_only=True)
class HubPrice:
    """The estimate of a month, before tax, in `currency`; without a `cloud` part nobody can tell that part yet.

    `spending` says that the month would go beyond the member's budget.
    """

    currency: str
    users: UsersPart
    cloud: CloudPart | None
    total: Decimal
    spending: Spending | None

    def as_json(self) -> dict[str, Any]:
        """What a revision keeps of it."""
        basis: dict[str, Any] = {"users_before": self.users.before, "users_expected": self.users.expected}
        if self.cloud:
            basis |= {
                "month": str(self.cloud.rate.month),
                "per_gib_hour": plain(round(self.cloud.rate.per_gib_hour, 6)),
                "hours_each": plain(round(self.cloud.rate.hours_each, 2)),
                "of_members": self.cloud.rate.of_members,
            }
        return {"amount": plain(self.total), "currency": self.currency, "basis": basis}


def hub_price(entitled: Entitlements, asked: Asked, *, at: datetime, besides: str = "") -> HubPrice:
    """Return what a month of such a hub is reckoned to cost the institution. Needs its scope.

    `besides` is the slug of the hub itself where it exists: its own people are not counted twice.
    """
    this = local_month(at, entitled.zone)
    months = [this.plus(-back) for back in range(1, LOOKS_BACK + 1)]
    users = _users(entitled, asked, months, besides)
    cloud = _cloud(entitled, asked, months)
    total = exact_sum([users.amount, *([cloud.amount] if cloud else [])])
    return HubPrice(
        currency=entitled.currency,
        users=users,
        cloud=cloud,
        total=total,
        spending=_beyond_budget(entitled, total, this),
    )


def _users(entitled: Entitlements, asked: Asked, months: Iterable[Month], besides: str) -> UsersPart:
    prices = PriceSchedule.model_validate(entitled.price_terms())
    busy = ((month, month_use(month=month, institution_id=entitled.institution_id)) for month in months)
    month, use = next(((month, use) for month, use in busy if use), (None, {}))
    before = 0
    if use:
        all_hubs = use[entitled.institution_id]
        itself = all_hubs.hubs.get(besides)
        before = all_hubs.active_users - (itself.active_users if itself else 0)
    with_them, without = (
        user_charge(count, slabs=prices.slabs, currency=prices.currency).total
        for count in (before + asked.expected_users, before)
    )
    amount = EXACT.subtract(with_them, without)
    return UsersPart(month=month, before=before, expected=asked.expected_users, amount=amount)


def _cloud(entitled: Entitlements, asked: Asked, months: list[Month]) -> CloudPart | None:
    rate = _rate(entitled, months)
    if rate is None:
        return None
    of_an_hour = asked.guaranteed_gib * rate.per_gib_hour
    return CloudPart(
        rate=rate,
        guaranteed_gib=asked.guaranteed_gib,
        amount=round_money(asked.expected_users * rate.hours_each * of_an_hour, entitled.currency),
        most=round_money(asked.max_servers * HOURS_OF_A_MONTH * of_an_hour, entitled.currency),
    )


def _rate(entitled: Entitlements, months: list[Month]) -> CloudRate | None:
    """The only place that reads other members' months; nothing of them leaves but a rate of three or more."""
    with consortium_scope(Scope.JOB):
        cost = passed_on_cost(months, currency=entitled.currency)
        use = {month: _used(month) for month in cost}
    return cloud_rate(cost, use, institution_id=entitled.institution_id, currency=entitled.currency)


def _used(month: Month) -> dict[UUID, Used]:
    return {
        key: Used(
            memory_gib_seconds=use.memory_gib_seconds,
            server_seconds=use.server_seconds,
            active_users=use.active_users,
        )
        for key, use in month_use(month=month).items()
    }


def _beyond_budget(entitled: Entitlements, total: Decimal, this: Month) -> Spending | None:
    """The question to those who set the budget, where the hub takes a month over it."""
    budget = budget_for(entitled.institution_id, this)
    if budget is None or budget.currency != entitled.currency:
        return None
    expected = _expected(entitled, this)
    if exact_sum([expected, total]) <= budget.amount:
        return None
    return Spending(expected=expected, estimate=total, budget=budget.amount, currency=entitled.currency)


def _expected(entitled: Entitlements, this: Month) -> Decimal:
    """A month without the hub: the average of the last three that were invoiced; before the first, its dues."""
    invoiced: dict[Month, Decimal] = {}
    for cost in costs_of(entitled.institution_id):
        if cost.currency == entitled.currency:
            month = Month.parse(cost.month)
            invoiced[month] = exact_sum([invoiced.get(month, Decimal(0)), cost.net])
    told = forecast(this, history=invoiced, so_far=Decimal(0), currency=entitled.currency)
    return told.amount if told else _dues(entitled, this)


def _dues(entitled: Entitlements, this: Month) -> Decimal:
    parts = dues_by_month(
        entitled.schedule.dues,
        currency=entitled.currency,
        joined=entitled.starts_on,
        year_start=date(this.year, 1, 1),
    )
    return parts.get(this, Decimal(0))
