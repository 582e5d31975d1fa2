"""Bilingual content: a pair of columns `*_en` and `*_fr` behind one accessor, English where French is missing."""

from typing import Any

from django.utils import translation

LANGUAGES = ("en", "fr")
FALLBACK = "en"


def bilingual(row: Any, field: str, language: str | None = None) -> str:
    """Return `field` of `row` in `language` (by default the one of the page); English when that one is empty."""
    wanted = (language or translation.get_language() or FALLBACK)[:2]
    text = getattr(row, f"{field}_{wanted}", "")
    return str(text or getattr(row, f"{field}_{FALLBACK}"))


class Bilingual:
    """A read-only attribute of a model: `name = Bilingual("name")` reads name_en or name_fr."""

    def __init__(self, field: str) -> None:
        self.field = field

    def __get__(self, row: Any, owner: type) -> str:
        return "" if row is None else bilingual(row, self.field)


def first_language(language: str) -> str:
    """Will return the language of mails and links about a document: English where the document is in both."""
    return language if language in LANGUAGES else FALLBACK
