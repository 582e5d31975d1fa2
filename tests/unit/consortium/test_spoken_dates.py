"""Dates and amounts inside sentences are written as their reader writes them, and mails are plain text."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.template import engines
from django.utils import translation

from billing.documents import words
from consortium.kernel.spoken import spoken_day, spoken_instant
from provisioning.models import Cluster

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
MARKUP = re.compile(r"\|day\b|\|month\b|\|money\b|\{% (instant|money|status_badge) ")
ISO = re.compile(r"""date:["']Y-m-d""")


def render(source: str, language: str, **context: object) -> str:
    with translation.override(language):
        return engines["django"].from_string(source).render(context)


def test_a_mail_holds_no_markup_of_a_page() -> None:
    mails = sorted((TEMPLATES / "emails").glob("*.txt"))
    assert len(mails) > 70
    assert [mail.name for mail in mails if MARKUP.search(mail.read_text())] == []


def test_no_page_or_mail_of_members_writes_a_date_as_a_machine_does() -> None:
    found = [path for path in TEMPLATES.rglob("*.*") if path.is_file() and ISO.search(path.read_text())]
    assert {path.parent.name for path in found} <= {"admin"}  # the tables of staff


def test_words_follow_the_reader() -> None:
    day, moment = date(2026, 12, 1), datetime(2026, 12, 1, 9, tzinfo=UTC)
    with translation.override("en"):
        assert (spoken_day(day), spoken_instant(moment)) == ("1 December 2026", "1 Dec 2026, 09:00 UTC")
    with translation.override("fr"):
        assert (spoken_day(day), spoken_instant(moment)) == ("1er décembre 2026", "1 déc. 2026, 09 h 00 UTC")
    with pytest.raises(ValueError, match="no time zone"):
        spoken_instant(datetime(2026, 12, 1, 9))  # noqa: DTZ001 - the mistake


def test_a_mail_writes_days_instants_and_amounts_as_words() -> None:
    source = "{{ day|day_words }}; {{ at|instant_words }}; {{ total|money_words:'CAD' }}"
    values = {"day": date(2026, 12, 4), "at": datetime(2026, 12, 4, 17, tzinfo=UTC), "total": Decimal(25200)}
    assert render(source, "fr", **values).replace("\N{NO-BREAK SPACE}", " ") == (
        "4 décembre 2026; 4 déc. 2026, 17 h 00 UTC; 25 200,00 CAD"
    )


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("Bank of Canada, monthly, 2026-09-01", "Bank of Canada, monthly, 1er septembre 2026"),
        ("Bank of Canada", "Bank of Canada"),
        ("Bank of Canada, 2026-9", "Bank of Canada, 2026-9"),
        ("", ""),
    ],
)
def test_the_source_of_a_rate_bears_its_day_in_words(kept: str, shown: str) -> None:
    with translation.override("fr"):
        assert words.rate_source(kept) == shown


def test_a_colon_stands_as_the_language_sets_it() -> None:
    assert render("Key{% colon %} x", "en") == "Key: x"
    assert render("Clé{% colon %} x", "fr") == "Clé\N{NO-BREAK SPACE}: x"


def test_an_amount_and_a_number_never_break() -> None:
    exact = render("{% money total 'CAD' code=True exact=True %}", "fr", total=Decimal("4200.125"))
    assert exact.replace("\N{NO-BREAK SPACE}", " ") == '<span class="money">4 200,125 CAD</span>'
    assert " " not in exact.removeprefix('<span class="money">')
    source = "{% blocktranslate with number=number|unbroken %}Invoice {{ number }}{% endblocktranslate %}"
    assert render(source, "en", number="ICC-<1>") == 'Invoice <span class="nowrap">ICC-&lt;1&gt;</span>'


def test_a_cluster_is_called_as_its_reader_calls_it() -> None:
    here, cloud = Cluster(name="This machine", name_fr="Cette machine"), Cluster(name="Canada Central")
    with translation.override("fr"):
        assert (here.called, cloud.called) == ("Cette machine", "Canada Central")
    with translation.override("en"):
        assert (here.called, cloud.called) == ("This machine", "Canada Central")
