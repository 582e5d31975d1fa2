"""The schedule as a form for staff, made from its type: a field for each term, a line for each row of a list.

A list such as the slabs or the responsibilities matrix is a text area: a row on a line, its columns between bars.
What is wrong is said at its field, with the line and the column.
"""

import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from django import forms
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from members.schedule import GIB, Schedule, ScheduleInvalid, ScheduleTemplate

SEPARATOR: Final = "__"
BAR: Final = "|"
WHOLE: Final = re.compile(r"[0-9]{1,18}")
GIBIBYTES: Final = re.compile(r"([0-9]{1,9})\s*GiB", re.IGNORECASE)
# Parts of names that are not said as they are written in code.
SPOKEN: Final = {
    "en": "(English)", "fr": "(French)", "po": "purchase order", "rpo": "RPO,", "rto": "RTO,", "bytes": "",
    "max": "highest", "up": "up", "order": "purchase order",
}  # fmt: skip
HIDDEN: Final = frozenset({"version"})


@dataclass(frozen=True)
class Term:
    """A field of the form: where it stands in the schedule, and what it holds."""

    path: tuple[str, ...]
    kind: str  # "text", "whole", "bytes", "truth", "choice", "words" or "rows"
    optional: bool
    choices: tuple[str, ...] = ()
    item: Any = None  # the model of a row, or the type of a word

    @property
    def name(self) -> str:
        """The name of the field in the form."""
        return SEPARATOR.join(self.path)

    @property
    def label(self) -> str:
        """The name for people."""
        words = [SPOKEN.get(word, word) for part in self.path for word in [*part.split("_"), "›"]][:-1]
        text = " ".join(word for word in words if word)
        return text[:1].upper() + text[1:]


def terms_of(model: type[BaseModel], path: tuple[str, ...] = (), *, optional: bool = False) -> Iterator[Term]:
    """Walk the type of a schedule and name each of its fields."""
    for name, info in model.model_fields.items():
        if name in HIDDEN and not path:
            continue
        kind, may_lack = _unwrap(info.annotation)
        here, may_lack = (*path, name), may_lack or optional or not info.is_required()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from terms_of(kind, here, optional=_unwrap(info.annotation)[1])
        elif get_origin(kind) is tuple:
            item = _unwrap(get_args(kind)[0])[0]
            rows = isinstance(item, type) and issubclass(item, BaseModel)
            yield Term(here, "rows" if rows else "words", True, item=item)
        elif get_origin(kind) is Literal:
            yield Term(here, "choice", may_lack, choices=get_args(kind))
        else:
            yield Term(here, _scalar(kind, name), may_lack)


class ScheduleForm(forms.Form):
    """A form over the terms of `model`; `schedule_json` gives what was typed as a validated schedule's JSON."""

    model: type[Schedule] | type[ScheduleTemplate]

    def __init__(self, *args: Any, model: type[Schedule] | type[ScheduleTemplate], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model = model
        self.terms = list(terms_of(model))
        for term in self.terms:
            self.fields[term.name] = _field(term)
        self.parsed: Schedule | ScheduleTemplate | None = None

    def clean(self) -> dict[str, Any]:
        """Build the schedule and put each complaint where it belongs."""
        values = super().clean() or {}
        if self.errors:
            return values
        try:
            self.parsed = self.model.model_validate(_tree(self.terms, values))
        except ValidationError as error:
            for problem in error.errors():
                self._complain(problem)
        return values

    def _complain(self, problem: Any) -> None:
        cause = (problem.get("ctx") or {}).get("error")
        message = str(cause or problem["msg"])
        where = [str(part) for part in problem["loc"]]
        if isinstance(cause, ScheduleInvalid) and cause.field:
            where += cause.field.split(".")
        for length in range(len(where), 0, -1):
            name = SEPARATOR.join(where[:length])
            if name in self.fields:
                self.add_error(name, _with_place(message, where[length:]))
                return
        last = where[-1] if where else ""
        named = next((term.name for term in self.terms if last and term.path[-1] == last), None)
        inside = next((term.name for term in self.terms if where and term.path[0] == where[0]), None)
        self.add_error(named or inside, _with_place(message, [] if named else where))


def initial_of(schedule: BaseModel) -> dict[str, Any]:
    """What the fields show for a schedule."""
    stored = schedule.model_dump(mode="json")
    return {term.name: _shown(term, _dig(stored, term.path)) for term in terms_of(type(schedule))}


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    """The type without Annotated and without None, and whether None is allowed."""
    if get_origin(annotation) is Annotated:
        return _unwrap(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [each for each in get_args(annotation) if each is not type(None)]
        return _unwrap(kinds[0])[0], True
    return annotation, False


def _scalar(kind: Any, name: str) -> str:
    if kind is bool:
        return "truth"
    if kind is int:
        return "bytes" if name.endswith("_bytes") else "whole"
    return "text"


def _field(term: Term) -> forms.Field:
    if term.kind == "truth":
        return forms.BooleanField(label=term.label, required=False)
    if term.kind == "choice":
        blank = [("", "(not agreed)")] if term.optional else []
        return forms.ChoiceField(
            label=term.label, required=not term.optional, choices=blank + [(each, each) for each in term.choices]
        )
    if term.kind == "rows":
        columns = f" {BAR} ".join(term.item.model_fields)
        return forms.CharField(
            label=term.label,
            required=False,
            help_text=f"One on a line: {columns}",
            widget=forms.Textarea(attrs={"rows": 5, "cols": 110}),
            max_length=50_000,
        )
    helps = {"words": "Separated by commas.", "bytes": "For example 4 GiB."}
    return forms.CharField(
        label=term.label, required=False, help_text=helps.get(term.kind, ""), max_length=2_000,
        widget=forms.TextInput(attrs={"size": 60 if term.kind in ("words", "text") else 12}),
    )  # fmt: skip


def _tree(terms: list[Term], values: Mapping[str, Any]) -> dict[str, Any]:
    """The form's values as the nested JSON that a schedule is read from; parts left empty are left out."""
    tree: dict[str, Any] = {}
    for term in terms:
        value = _read(term, values.get(term.name, ""))
        if value in ("", None, []) and term.kind != "rows":
            continue
        if term.kind in ("truth", "rows") and not value and len(term.path) > 1:
            continue  # it alone does not make a part that was left empty
        branch = tree
        for part in term.path[:-1]:
            branch = branch.setdefault(part, {})
        branch[term.path[-1]] = value
    return tree


def _read(term: Term, value: Any) -> Any:
    if term.kind == "words":
        words = [word.strip() for word in str(value).split(",") if word.strip()]
        return [_scalar_of(word, whole=term.item is int) for word in words]
    if term.kind == "rows":
        return [_row(line, term.item) for line in str(value).splitlines() if line.strip()]
    if isinstance(value, str):
        return _scalar_of(value.strip(), whole=term.kind in ("whole", "bytes"))
    return value


def _scalar_of(text: str, *, whole: bool) -> Any:
    if not whole:
        return text
    if match := GIBIBYTES.fullmatch(text):
        return int(match[1]) * GIB
    return int(text) if WHOLE.fullmatch(text) else text


def _row(line: str, model: type[BaseModel]) -> dict[str, Any]:
    cells = [cell.strip() for cell in line.split(BAR)]
    names = list(model.model_fields)
    row: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=False):
        info: FieldInfo = model.model_fields[name]
        kind, may_be_none = _unwrap(info.annotation)
        if cell == "" and may_be_none:
            row[name] = None
        elif kind is bool:
            row[name] = {"yes": True, "no": False}.get(cell.lower(), cell)
        elif cell != "":
            row[name] = _scalar_of(cell, whole=kind is int)
    for extra in cells[len(names) :]:
        row[f"column {len(row) + 1}"] = extra
    return row


def _shown(term: Term, value: Any) -> Any:
    if term.kind == "truth":
        return bool(value)
    if value is None:
        return ""
    if term.kind == "words":
        return ", ".join(str(each) for each in value)
    if term.kind == "rows":
        return "\n".join(f" {BAR} ".join(_cell(cell) for cell in row.values()) for row in value)
    if term.kind == "bytes" and value % GIB == 0:
        return f"{value // GIB} GiB"
    return str(value)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _dig(tree: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if tree is None:
            return None
        tree = tree.get(part)
    return tree


def _with_place(message: str, rest: list[str]) -> str:
    """Say in which line and column of a list, and otherwise under which name, something is wrong."""
    if not rest:
        return message
    if rest[0].isdigit():
        column = f", {' '.join(rest[1:])}" if rest[1:] else ""
        return f"Line {int(rest[0]) + 1}{column}: {message}"
    return f"{' '.join(rest)}: {message}"
