"""The words and figures of the documents, in the language that is active."""

from datetime import date, datetime
from decimal import Decimal
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import get_language, gettext_lazy, ngettext

from billing.tax_reasons import FRENCH_NAMES
from consortium.kernel import formats
from consortium.kernel.money import exponent, plain, scale
from consortium.kernel.periods import Month

BASES: Final[dict[str, Promise]] = {
    "memory_hours": gettext_lazy("GiB-hours of memory"),
    "memory_gib_seconds": gettext_lazy("GiB-seconds of memory"),
    "server_seconds": gettext_lazy("server-seconds"),
    "server_hours": gettext_lazy("server-hours"),
    "active_users": gettext_lazy("active users"),
    "storage": gettext_lazy("storage"),
    "storage_gib_seconds": gettext_lazy("GiB-seconds of storage"),
    "gpu_seconds": gettext_lazy("GPU-seconds"),
    "fte": gettext_lazy("students (full-time equivalent)"),
}
METHODS: Final[dict[str, Promise]] = {
    "even": gettext_lazy("in equal shares"),
    "proportional": gettext_lazy("in proportion to use"),
    "fixed": gettext_lazy("in fixed shares"),
    "tiered": gettext_lazy("by weights of the tiers"),
    "idle_weighted": gettext_lazy("in proportion to use"),
    "idle_even": gettext_lazy("in equal shares"),
    "direct": gettext_lazy("directly"),
    "step_down": gettext_lazy("by steps, in part through other pools"),
    "idle_own": gettext_lazy("in proportion to use, the consortium bearing what nobody used"),
}
_SHOWN_DECIMALS: Final = 6


def language() -> str:
    """The language that is active: "en" or "fr"."""
    return (get_language() or "en")[:2]


def money(amount: Decimal, currency: str, *, exact: bool = False) -> str:
    """An amount with its ISO code; with `exact` every decimal it has, as a unit price may need them."""
    digits = max(scale(amount), exponent(currency)) if exact else None
    return formats.money_text(amount, currency, language=language(), code=True, digits=digits)


def figure(amount: Decimal, currency: str, *, exact: bool = False) -> str:
    """An amount without its code, for a column whose head names it."""
    digits = max(scale(amount), exponent(currency)) if exact else exponent(currency)
    return formats.number_text(amount, language=language(), digits=digits)


def number(value: Decimal) -> str:
    """A quantity with the decimals it needs, at most six."""
    text = plain(value).rstrip("0").rstrip(".") if scale(value) else plain(value)
    digits = min(len(text.partition(".")[2]), _SHOWN_DECIMALS)
    return formats.number_text(value, language=language(), digits=digits)


def share(part: Decimal, whole: Decimal) -> str:
    """A part of a whole in percent."""
    return formats.percent_text(part / whole, language=language(), digits=2) if whole else "–"


def percent(rate: Decimal) -> str:
    """A tax rate, which is written in percent already."""
    text = number(rate)
    return f"{text}\N{NO-BREAK SPACE}%" if language() == "fr" else f"{text}%"


def day(value: date) -> str:
    """A calendar day."""
    return formats.day_text(value, language=language())


def rate_source(text: str) -> str:
    """Who published a rate, with its day in words: kept as "Bank of Canada, 2026-09-01" on the line of an invoice."""
    publisher, _comma, on = text.rpartition(", ")
    try:
        return f"{publisher}, {day(date.fromisoformat(on))}" if publisher else text
    except ValueError:
        return text


def instant(moment: datetime, zone: str) -> str:
    """An instant with its zone."""
    return formats.instant_text(moment, zone, language=language())


def month(text: str) -> str:
    """A month: "November 2026"."""
    return Month.parse(text).label(language())


def tax_name(tax: str) -> str:
    """The name of a tax: GST in English is TPS in French."""
    return FRENCH_NAMES.get(tax, tax) if language() == "fr" else tax


def quantity(value: Decimal, unit: str) -> str:
    """A number of units: "280 users", "1 month"; of an unknown unit its own word."""
    one = unit.removesuffix("s").removeprefix("active_")
    count = 1 if value == 1 else 2
    words = {
        "user": ngettext("user", "users", count),
        "day": ngettext("day", "days", count),
        "month": ngettext("month", "months", count),
        "year": ngettext("year", "years", count),
        "hour": ngettext("hour", "hours", count),
        "share": ngettext("share", "shares", count),
    }
    return f"{number(value)} {words.get(one, unit)}".strip()


def basis(word: str) -> str:
    """What a pool was shared by."""
    return str(BASES.get(word, word.replace("_", " ")))


def method(word: str) -> str:
    """How a pool was shared."""
    return str(METHODS.get(word.replace("-", "_"), word))
