"""What the page of use and cost shows: figures of the month, months beside each other, budget and forecast."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from billing.budgets import BudgetStand, budget_for, stand_of
from billing.documents import words
from billing.forecasts import Forecast, forecast
from billing.models import BudgetAlert
from billing.queries import costs_of
from billing.what_if import KEYS, Compared
from consortium.kernel.charts import Chart, Series, stacked_columns, ticks_for
from consortium.kernel.formats import money_text, number_text
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month, local_date
from consortium.usecases.costs import CostLine, MonthCosts, month_costs, what_if
from members.models import Institution
from provisioning.queries import MonthUse, month_use, months_with_use

MONTHS_SHOWN = 12
KINDS = {
    "dues": gettext_lazy("Membership dues"),
    "active_users": gettext_lazy("Active users"),
    "direct_cost": gettext_lazy("Cloud cost of your own hubs"),
    "shared_cost": gettext_lazy("Your share of shared cost"),
}
KEY_WORDS = {
    "even": gettext_lazy("the same for every member"),
    "memory": gettext_lazy("by memory used"),
    "servers": gettext_lazy("by server time"),
    "users": gettext_lazy("by active users"),
}
_HOUR = Decimal(3600)


@dataclass(frozen=True, kw_only=True)
class LineRow:
    """One line of the month with the words for its kind and, for a share, how it is split."""

    line: CostLine
    description: str
    how: str


@dataclass(frozen=True, kw_only=True)
class WhatIfRow:
    """One pool: what the institution bears and would bear."""

    pool: str
    currency: str
    actual: Decimal
    other: Decimal
    difference: Decimal
    parked: str


@dataclass(frozen=True, kw_only=True)
class CostView:
    """All that templates/costs/costs.html shows."""

    costs: MonthCosts
    lines: tuple[LineRow, ...]
    kinds: tuple[tuple[str, Decimal], ...]
    use: MonthUse | None
    server_hours: Decimal
    months: tuple[tuple[str, date], ...]
    is_current: bool
    chart: Chart | None
    has_credits: bool
    budget: BudgetStand | None
    alerts: tuple[BudgetAlert, ...]
    forecast: Forecast | None
    key: str
    keys: tuple[tuple[str, object], ...]
    what_if: tuple[WhatIfRow, ...]


def cost_view(institution: Institution, *, month: Month, key: str, at: datetime) -> CostView:
    """Will gather the page of a month. Needs the institution's scope. Raises NoCosts."""
    costs = month_costs(institution, month, at=at)
    use = month_use(month=month, institution_id=institution.pk).get(institution.pk)
    history = _history(institution, costs)
    totals = {each: exact_sum(of_kind.values()) for each, of_kind in history.items()}
    invoiced = {each: total for each, total in totals.items() if each != month or costs.is_invoiced}
    today = Month.of(local_date(at, institution.zone))
    budget = budget_for(institution.pk, month)
    choices = sorted({*months_with_use(institution.pk), *history, month, today}, reverse=True)
    return CostView(
        costs=costs,
        lines=tuple(_line(line) for line in costs.lines),
        kinds=tuple((str(KINDS.get(kind, kind)), total) for kind, total in costs.by_kind().items()),
        use=use,
        server_hours=(use.server_seconds if use else 0) / _HOUR,
        months=tuple((str(each), each.first_day) for each in choices),
        is_current=month == today,
        chart=_chart(history, costs.currency),
        has_credits=any(amount < 0 for of_kind in history.values() for amount in of_kind.values()),
        budget=stand_of(budget, costs.total) if budget and budget.currency == costs.currency else None,
        alerts=tuple(BudgetAlert.objects.filter(institution=institution, month=str(month)).order_by("percent")),
        forecast=forecast(month, history=invoiced, so_far=costs.total, currency=costs.currency)
        if not costs.is_invoiced
        else None,
        key=key,
        keys=tuple(KEY_WORDS.items()),
        what_if=_what_if(institution, month, key) if key in KEYS else (),
    )


def _line(line: CostLine) -> LineRow:
    share = line.evidence.get("share")
    how = ""
    if share:
        how = _("Split %(method)s over %(members)s members.") % {
            "method": words.method(share["method"]),
            "members": share["members"],
        }
    return LineRow(line=line, description=line.description(get_language() or "en"), how=how)


def _history(institution: Institution, costs: MonthCosts) -> dict[Month, dict[str, Decimal]]:
    """Each month's cost by kind: what was invoiced, and the month that is looked at."""
    found: dict[Month, dict[str, Decimal]] = {}
    for cost in costs_of(institution.pk):
        if cost.currency == costs.currency:
            of_kind = found.setdefault(Month.parse(cost.month), {})
            of_kind[cost.kind] = exact_sum([of_kind.get(cost.kind, Decimal(0)), cost.net])
    if costs.lines:
        found[costs.month] = costs.by_kind()
    return dict(sorted(found.items())[-MONTHS_SHOWN:])


def _chart(history: dict[Month, dict[str, Decimal]], currency: str) -> Chart | None:
    if not history:
        return None
    language = get_language() or "en"
    months = list(history)
    kinds = [kind for kind in KINDS if any(history[month].get(kind) for month in months)]
    series = [_series(kind, [history[month].get(kind, Decimal(0)) for month in months], currency) for kind in kinds]
    if not series:
        return None
    return stacked_columns(
        title=_("Cost by month, before tax"),
        description=_("The last %(months)s months, by kind of charge, in %(currency)s.")
        % {"months": len(months), "currency": currency},
        label_heading=_("Month"),
        categories=[month.label(language) for month in months],
        short_categories=[f"{month.number:02d}" for month in months],
        series=series,
        tick_texts=[number_text(Decimal(str(tick)), language=language) for tick in ticks_for(series)],
    )


def _series(kind: str, amounts: Sequence[Decimal], currency: str) -> Series:
    """A kind's columns; a credit has no height, its figure stands in the table."""
    language = get_language() or "en"
    return Series(
        name=str(KINDS[kind]),
        values=[max(amount, Decimal(0)) for amount in amounts],
        texts=[money_text(amount, currency, language=language) for amount in amounts],
    )


def _what_if(institution: Institution, month: Month, key: str) -> tuple[WhatIfRow, ...]:
    def row(compared: Compared) -> WhatIfRow:
        zero = Decimal(0)
        return WhatIfRow(
            pool=compared.pool.key,
            currency=compared.pool.currency,
            actual=compared.actual.get(institution.pk, zero),
            other=compared.other.get(institution.pk, zero),
            difference=compared.difference(institution.pk),
            parked=compared.parked,
        )

    return tuple(row(each) for each in what_if(institution, month, key=key))
