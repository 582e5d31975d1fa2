"""Numbers, money and time as people read them in English and French Canada, through Babel's CLDR data.

Pure: the language is an argument ("en", "fr", "fr-ca"), so that a page, a PDF and a mail in another language agree.
"""

from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, localcontext
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal

from consortium.kernel.money import exponent, round_money

_LOCALES = {"en": Locale("en", "CA"), "fr": Locale("fr", "CA")}
_MINUTE_PATTERNS = {"en": "d MMM y, HH:mm", "fr": "d MMM y, HH 'h' mm"}
_DAY_PATTERNS = {"en": "d MMMM y", "fr": "d MMMM y"}


def locale_for(language: str) -> Locale:
    """Will return the Canadian locale of a language tag; a language we do not speak reads as English."""
    return _LOCALES.get(language.replace("_", "-").split("-")[0].lower(), _LOCALES["en"])


def money_text(
    amount: Decimal | int, currency: str, *, language: str, code: bool = False, digits: int | None = None
) -> str:
    """Will write an amount in its currency: "$1,234.50", "1 234,50 $", with `code` "1,234.50 CAD".

    The currency's own minor digits are shown, rounded by our rule and not by CLDR's, unless `digits` says more (unit
    prices); amounts that are charged were rounded before.
    """
    locale = locale_for(language)
    amount = Decimal(amount) if digits is not None else round_money(Decimal(amount), currency)
    decimals = exponent(currency) if digits is None else digits
    fraction = f".{'0' * decimals}" if decimals else ""
    with localcontext(prec=200):  # Babel quantizes under the ambient context
        if code:
            return _minus(
                f"{format_decimal(amount, format=f'#,##0{fraction}', locale=locale)}\N{NO-BREAK SPACE}{currency}"
            )
        pattern = locale.currency_formats["standard"].pattern.split(";")[0].replace("#,##0.00", f"#,##0{fraction}")
        return _minus(format_currency(amount, currency, format=pattern, locale=locale, currency_digits=False))


def number_text(value: Decimal | int, *, language: str, digits: int | None = None) -> str:
    """Will write a number with the language's separators, with exactly `digits` decimals where given."""
    pattern = None if digits is None else (f"#,##0.{'0' * digits}" if digits else "#,##0")
    return _minus(format_decimal(value, format=pattern, locale=locale_for(language)))


def percent_text(share: Decimal | float, *, language: str, digits: int = 1) -> str:
    """Will write a share of one as a percentage: 0.9987 becomes "99.9%", in French "99,9 %"."""
    locale = locale_for(language)
    hundredfold = number_text(Decimal(str(share)) * 100, language=language, digits=digits)
    return f"{hundredfold}\N{NO-BREAK SPACE}%" if locale.language == "fr" else f"{hundredfold}%"


def instant_text(moment: datetime, zone: tzinfo | str, *, language: str) -> str:
    """Will write an instant to the minute in `zone` with the zone's short name: "12 Nov 2026, 14:05 EST".

    Raises ValueError for a naive datetime: it would be a guess.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone, so it cannot be shown in one. Pass an aware datetime.")
    place = ZoneInfo(zone) if isinstance(zone, str) else zone
    locale = locale_for(language)
    minute = _MINUTE_PATTERNS[locale.language]
    if str(place).upper() in {"UTC", "ETC/UTC"}:  # CLDR's French says "TU", which no one expects
        return f"{format_datetime(moment, minute, tzinfo=UTC, locale=locale)} UTC"
    return format_datetime(moment.astimezone(UTC), f"{minute} z", tzinfo=place, locale=locale)


def day_text(day: date, *, language: str) -> str:
    """Will write a calendar day: "12 November 2026", "12 novembre 2026"."""
    locale = locale_for(language)
    text = format_date(day, _DAY_PATTERNS[locale.language], locale=locale)
    return text.replace("1 ", "1er ", 1) if locale.language == "fr" and day.day == 1 else text


def month_text(day: date, *, language: str) -> str:
    """Will write the month of a day: "November 2026", "novembre 2026"."""
    return format_date(day, "LLLL y", locale=locale_for(language))


def duration_text(span: timedelta | float, *, language: str) -> str:
    """Will write a length of time in its two largest units: "2 min 05 s", "3 h 20 min"; a float is seconds."""
    seconds = int(span.total_seconds() if isinstance(span, timedelta) else span)
    hours, rest = divmod(max(seconds, 0), 3600)
    minutes, seconds = divmod(rest, 60)
    space = "\N{NO-BREAK SPACE}"
    if hours:
        return f"{number_text(hours, language=language)}{space}h{space}{minutes:02d}{space}min"
    if minutes:
        return f"{minutes}{space}min{space}{seconds:02d}{space}s"
    return f"{seconds}{space}s"


def _minus(text: str) -> str:
    """Will replace the hyphen before a negative amount by a true minus, which lines up in a column of figures."""
    return text.replace("-", "\N{MINUS SIGN}")
