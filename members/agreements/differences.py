"""What changed between two versions of an agreement, for people: clauses by line and word, the schedule in words."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

from consortium.kernel.language import LANGUAGES, bilingual
from members.schedule_table import Part, schedule_parts

CONTEXT: Final = 1  # unchanged lines shown before and after a change
BLOCK: Final = re.compile(r"\s*(?:[-*+>]|\d+[.)]|#{1,6}\s)")  # begins a line of its own in Markdown
HEADING: Final = re.compile(r"#{1,6}\s+")
WORDS: Final = re.compile(r"\s+|[^\s]+")


@dataclass(frozen=True)
class Fragment:
    """Some words of a line: "same", "added" or "removed"."""

    kind: str
    text: str


@dataclass(frozen=True)
class Line:
    """A line of the clauses: "same", "added", "removed", "changed", or "gap" for unchanged lines that are left out."""

    kind: str
    fragments: tuple[Fragment, ...]


@dataclass(frozen=True)
class Change:
    """A term of the schedule, as it was and as it is; an empty string where there was or is none."""

    part: str
    label: str
    before: str
    after: str


@dataclass(frozen=True)
class Difference:
    """What changed in one language."""

    language: str
    title: tuple[str, str] | None
    clauses: tuple[Line, ...]
    schedule: tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing changed."""
        return not (self.title or self.clauses or self.schedule)


def difference(old: Any, new: Any, *, language: str) -> Difference:
    """Compare two agreements or revisions in one language."""
    titles = bilingual(old, "title", language), bilingual(new, "title", language)
    texts = [paragraphs(bilingual(each, "clauses", language)) for each in (old, new)]
    clauses = text_changes("\n".join(texts[0]), "\n".join(texts[1]))
    return Difference(
        language=language,
        title=titles if titles[0] != titles[1] else None,
        clauses=clauses,
        schedule=schedule_changes(schedule_parts(old, language=language), schedule_parts(new, language=language)),
    )


def differences(old: Any, new: Any) -> tuple[Difference, ...]:
    """Compare two agreements or revisions in every language: a change of one text alone shows."""
    return tuple(difference(old, new, language=language) for language in LANGUAGES)


def paragraphs(markdown: str) -> list[str]:
    """Read Markdown as people do: a line for each heading, item and paragraph, however its source was broken."""
    found: list[str] = []
    is_open = False
    for line in markdown.splitlines():
        if not line.strip():
            is_open = False
            continue
        if is_open and not BLOCK.match(line):
            found[-1] = f"{found[-1]} {line.strip()}"
        else:
            found.append(HEADING.sub("", line.strip(), count=1) if line.lstrip().startswith("#") else line.strip())
        is_open = not line.lstrip().startswith("#")
    return found


def text_changes(old: str, new: str) -> tuple[Line, ...]:
    """Compare two texts by line, and changed lines by word. Empty when they are equal."""
    before, after = old.splitlines(), new.splitlines()
    if before == after:
        return ()
    lines: list[Line] = []
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    for index, (tag, i1, i2, j1, j2) in enumerate(blocks):
        if tag == "equal":
            lines += _unchanged(before[i1:i2], is_first=index == 0, is_last=index == len(blocks) - 1)
        else:
            lines += _replaced(before[i1:i2], after[j1:j2])
    return tuple(lines)


def schedule_changes(old: Sequence[Part], new: Sequence[Part]) -> tuple[Change, ...]:
    """Compare two schedules row by row, in the order of the new one; what is gone comes last."""
    before = dict(_rows(old))
    after = dict(_rows(new))
    changed = [
        Change(part, label, before.get((part, label), ""), value)
        for (part, label), value in after.items()
        if before.get((part, label)) != value
    ]
    gone = [Change(part, label, value, "") for (part, label), value in before.items() if (part, label) not in after]
    return (*changed, *gone)


def _rows(parts: Sequence[Part]) -> Iterator[tuple[tuple[str, str], str]]:
    for part in parts:
        for label, value in part.rows:
            yield (part.title, label), value


def _unchanged(lines: list[str], *, is_first: bool, is_last: bool) -> Iterator[Line]:
    """The lines around a change; those further away become one gap."""
    head = [] if is_first else lines[:CONTEXT]
    tail = [] if is_last else lines[max(CONTEXT if not is_first else 0, len(lines) - CONTEXT) :]
    left_out = len(lines) - len(head) - len(tail)
    for line in head:
        yield Line("same", (Fragment("same", line),))
    if left_out > 0:
        yield Line("gap", ())
    for line in tail:
        yield Line("same", (Fragment("same", line),))


def _replaced(old: list[str], new: list[str]) -> Iterator[Line]:
    """Changed lines in pairs, by word where they resemble each other; the rest as removed and added."""
    pairs = min(len(old), len(new))
    for one, two in zip(old[:pairs], new[:pairs], strict=True):
        yield from _by_word(one, two)
    for line in old[pairs:]:
        yield Line("removed", (Fragment("removed", line),))
    for line in new[pairs:]:
        yield Line("added", (Fragment("added", line),))


def _by_word(old: str, new: str) -> Iterator[Line]:
    before, after = WORDS.findall(old), WORDS.findall(new)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < 0.3:
        if old:
            yield Line("removed", (Fragment("removed", old),))
        if new:
            yield Line("added", (Fragment("added", new),))
        return
    fragments: list[Fragment] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            fragments.append(Fragment("same", "".join(before[i1:i2])))
            continue
        if i2 > i1:
            fragments.append(Fragment("removed", "".join(before[i1:i2])))
        if j2 > j1:
            fragments.append(Fragment("added", "".join(after[j1:j2])))
    yield Line("changed", tuple(fragments))
