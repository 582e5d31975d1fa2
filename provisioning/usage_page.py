"""What the page of an institution's use shows: a month, by hub and day, with its figures and what is missing in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from consortium.kernel.charts import Chart
from consortium.kernel.periods import Month
from members.models import Institution
from provisioning.charts import hours_by_day
from provisioning.models import Hub
from provisioning.queries import DayUse, HubUse, MonthUse, day_series

_HOUR = Decimal(3600)


@dataclass(frozen=True, kw_only=True)
class HubRow:
    """One hub's month."""

    slug: str
    name: str
    use: HubUse
    server_hours: Decimal


@dataclass(frozen=True, kw_only=True)
class UsageView:
    """All that templates/provisioning/usage.html shows. `months` are (value, first day) to choose from."""

    month: Month
    hub_slug: str
    months: tuple[tuple[str, date], ...]
    hub_choices: tuple[tuple[str, str], ...]
    use: HubUse
    server_hours: Decimal
    memory_gib_hours: Decimal
    hubs: tuple[HubRow, ...]
    days: tuple[DayUse, ...]
    chart: Chart | None
    is_current: bool
    has_partial: bool


def usage_view(
    institution: Institution,
    *,
    month: Month,
    hub_slug: str,
    use: MonthUse | None,
    months: Iterable[Month],
    today: date,
) -> UsageView:
    """Will gather the page; a hub that the institution does not have shows nothing rather than everything."""
    names = dict(Hub.objects.filter(institution=institution).values_list("slug", "name"))
    first, end = month.first_day, month.next().first_day
    days = day_series(first=first, end=end, institution_id=institution.pk)
    if hub_slug:
        days = tuple(row for row in days if row.hub_slug == hub_slug)
    of_hubs = use.hubs if use else {}
    shown: HubUse = of_hubs.get(hub_slug, HubUse()) if hub_slug else use or HubUse()
    choices = sorted({*months, month, Month.of(today)}, reverse=True)
    return UsageView(
        month=month,
        hub_slug=hub_slug,
        months=tuple((str(one), one.first_day) for one in choices),
        hub_choices=tuple(sorted(names.items(), key=lambda pair: pair[1])),
        use=shown,
        server_hours=shown.server_seconds / _HOUR,
        memory_gib_hours=shown.memory_gib_seconds / _HOUR,
        hubs=tuple(
            HubRow(slug=slug, name=names.get(slug, slug), use=row, server_hours=row.server_seconds / _HOUR)
            for slug, row in of_hubs.items()
            if hub_slug in {"", slug}
        ),
        days=days,
        chart=hours_by_day(days, first=first, end=end) if days else None,
        is_current=month == Month.of(today),
        has_partial=any(row.partial for row in days),
    )
