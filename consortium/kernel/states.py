"""One table per state machine: from, to, who may move it, what the reader is told to do next.

The table is the machine. Code moves a row by compare-and-set through `Machine.move`; PostgreSQL refuses every other
move by a trigger whose SQL is generated from the same table; the Mermaid diagram in docs/ is generated too, and
`./portal check` fails when the diagram or the migration is stale.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.utils.translation import gettext as _

from consortium.kernel.errors import PortalError

_machines: dict[str, "Machine"] = {}


class TransitionRefused(PortalError):
    """The table has no such move, or somebody else moved the row first."""

    code = "transition_refused"


@dataclass(frozen=True)
class State:
    """One state: whose turn it is, and the next step in words for that person."""

    value: str
    owner: str
    next_en: str
    next_fr: str
    to: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """A named state machine of one column.

    `name` is "app.Model.column"; `table` the database table; the first state of `states` is where a row begins.
    """

    name: str
    table: str
    column: str
    states: tuple[State, ...]

    def __post_init__(self) -> None:
        known = {state.value for state in self.states}
        for state in self.states:
            if unknown := set(state.to) - known:
                raise ValueError(f"{self.name}: {state.value} leads to unknown {sorted(unknown)}")
        _machines[self.name] = self

    @property
    def initial(self) -> str:
        """The state a new row has."""
        return self.states[0].value

    def state(self, value: str) -> State:
        """Return the state of that value; KeyError when the table has none."""
        return next(state for state in self.states if state.value == value)

    def allows(self, was: str, to: str) -> bool:
        """Tell whether the table has the move."""
        return to in self.state(was).to

    def table_of_moves(self) -> dict[str, list[str]]:
        """The moves as plain data: what a migration freezes."""
        return {state.value: sorted(state.to) for state in self.states}

    def require(self, row: models.Model, to: str) -> None:
        """Raise TransitionRefused unless the table lets the row move to `to` from the state it was read in."""
        was = getattr(row, self.column)
        if not self.allows(was, to):
            raise TransitionRefused(
                _("This is “%(was)s” now; it cannot become “%(to)s”. Reload the page to see what is next.")
                % {"was": was, "to": to}
            )

    def move(self, row: models.Model, to: str, **values: Any) -> None:
        """Move `row` from the state it was read in to `to`, writing `values` with it, by compare-and-set.

        Raises TransitionRefused when the table has no such move, or when another process moved the row first.
        """
        was = getattr(row, self.column)
        self.require(row, to)
        changes = {self.column: to, **values}
        manager = type(row)._default_manager  # noqa: SLF001
        moved = manager.filter(pk=row.pk, **{self.column: was}).update(**changes)
        if moved != 1:
            raise TransitionRefused(
                _("This was “%(was)s” when you looked; somebody moved it. Reload the page.") % {"was": was}
            )
        for field, value in changes.items():
            setattr(row, field, value)

    def move_all(self, rows: Sequence[models.Model], to: str, fields: Sequence[str] = ()) -> None:
        """Move rows of one table, all or none, by one statement, writing the `fields` that were set on them.

        Raises TransitionRefused as `move` does.
        """
        if not rows:
            return
        was = {getattr(row, self.column) for row in rows}
        for row in rows:
            self.require(row, to)
        for row in rows:
            setattr(row, self.column, to)
        manager = type(rows[0])._default_manager  # noqa: SLF001
        moved = manager.filter(**{f"{self.column}__in": was}).bulk_update(rows, [self.column, *fields])
        if moved != len(rows):
            raise TransitionRefused(_("Somebody moved one of these meanwhile. Reload the page."))

    def mermaid(self) -> str:
        """The diagram, for docs/."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial}"]
        for state in self.states:
            lines += [f"    {state.value} --> {to}" for to in state.to]
            if not state.to:
                lines.append(f"    {state.value} --> [*]")
        return "\n".join(lines) + "\n"


def machines() -> Mapping[str, Machine]:
    """Every machine that has been declared, by name."""
    return dict(sorted(_machines.items()))


def choices(states: Iterable[State]) -> list[tuple[str, str]]:
    """Choices for a model field."""
    return [(state.value, state.value.replace("_", " ")) for state in states]
