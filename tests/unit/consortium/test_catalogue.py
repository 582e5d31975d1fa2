"""The French catalogue is whole: every message has its translation, with the same placeholders."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

from tests.unit.consortium.catalogue_messages import asked

CATALOGUE = Path(__file__).resolve().parents[3] / "locale" / "fr" / "LC_MESSAGES" / "django.po"
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd%]|<[^>]+>")


def words(text: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [text] if isinstance(text, str) else list(text or ())


def messages() -> list[Message]:
    with CATALOGUE.open("rb") as file:
        return [message for message in read_po(file) if message.id]


def test_every_message_that_is_asked_for_is_in_the_catalogue() -> None:
    known = {text for message in messages() for text in words(message.id)}
    assert {message: where for message, where in asked().items() if message not in known} == {}


def test_every_message_is_translated() -> None:
    missing = [m.id for m in messages() if m.fuzzy or not m.string or not all(words(m.string))]
    assert missing == []


def test_placeholders_survive_translation() -> None:
    for message in messages():
        wanted = set(PLACEHOLDER.findall(words(message.id)[-1]))
        for text in words(message.string):
            assert set(PLACEHOLDER.findall(text)) <= wanted | set(PLACEHOLDER.findall(words(message.id)[0])), message.id
        assert wanted <= set(PLACEHOLDER.findall(words(message.string)[-1])), message.id


@pytest.mark.parametrize("mark", [":", ";", "?", "!", "»"])
def test_french_marks_stand_after_a_space_that_does_not_break(mark: str) -> None:
    wrong = re.compile(rf"[^\W\d_] {re.escape(mark)}")
    assert [m.id for m in messages() for text in words(m.string) if wrong.search(text)] == []
