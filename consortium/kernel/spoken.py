"""Days and instants inside sentences, plain text in the language of whoever reads: messages, mails, feeds.

Tables of figures, files and addresses keep ISO 8601; pages use the tags of `consortium.templatetags.ui`, with <time>.
"""

from datetime import date, datetime, tzinfo

from django.utils.translation import get_language

from consortium.kernel import formats


def spoken_day(day: date) -> str:
    """Return a calendar day in the language that is active: "12 November 2026", "12 novembre 2026"."""
    return formats.day_text(day, language=get_language() or "en")


def spoken_instant(moment: datetime, zone: tzinfo | str = "UTC") -> str:
    """Return an instant to the minute with its zone, UTC unless another is given: "12 Nov 2026, 14:05 UTC".

    Raises ValueError for a naive datetime.
    """
    return formats.instant_text(moment, zone, language=get_language() or "en")
