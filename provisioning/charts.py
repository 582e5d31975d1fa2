"""Charts of use, drawn by consortium/kernel/charts.py with words and numbers in the reader's language."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from consortium.kernel.charts import Chart, Series, stacked_columns, ticks_for
from consortium.kernel.formats import day_text, number_text
from provisioning.queries import DayUse

_HOUR = Decimal(3600)
MOST_SERIES = 4
LABEL_EVERY = 5


def hours_by_day(days: Sequence[DayUse], *, first: date, end: date) -> Chart:
    """Will draw server-hours as one column a day, a part for each hub while there are at most four of them."""
    language = get_language() or "en"
    dates = [first + timedelta(days=offset) for offset in range((end - first).days)]
    names = dict.fromkeys(use.hub_name for use in days)
    parts = {name: [use for use in days if use.hub_name == name] for name in names}
    if len(parts) > MOST_SERIES or not parts:
        parts = {_("All hubs"): list(days)}
    series = [_series(name, uses, dates, language) for name, uses in parts.items()]
    total = sum((use.server_seconds for use in days), 0) / _HOUR
    return stacked_columns(
        title=_("Server-hours by day"),
        description=_("From %(first)s to %(last)s people used %(hours)s server-hours.")
        % {
            "first": day_text(dates[0], language=language),
            "last": day_text(dates[-1], language=language),
            "hours": number_text(total, language=language, digits=1),
        },
        label_heading=_("Day"),
        categories=[day_text(one, language=language) for one in dates],
        short_categories=[str(one.day) if one.day % LABEL_EVERY == 0 or one.day == 1 else "" for one in dates],
        series=series,
        tick_texts=[number_text(Decimal(str(tick)), language=language) for tick in ticks_for(series)],
    )


def _series(name: str, uses: Iterable[DayUse], dates: Sequence[date], language: str) -> Series:
    seconds: dict[date, int] = {}
    for use in uses:
        seconds[use.day] = seconds.get(use.day, 0) + use.server_seconds
    hours = [seconds.get(one, 0) / _HOUR for one in dates]
    return Series(name=name, values=hours, texts=[number_text(value, language=language, digits=1) for value in hours])
