"""Admin pages of what one person of staff proposes and another decides: the two acts, and what is typed to decide.

A proposal waits. Another person decides it, mostly after typing a figure that shows it was read; or it is given up.
Who may not decide (its proposer) is for the domain to refuse: a page only asks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest

from members.models import User
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin


@dataclass(frozen=True, kw_only=True)
class Typed:
    """One figure that who decides types: `check` is called with the row and the text, and raises what is wrong."""

    field: str
    label: str
    check: Callable[[Any, str], None]

    def asked_after(self, form: type[forms.Form]) -> type[forms.Form]:
        """Return that form with one more field, last, that asks for it."""
        return type("TypedForm", (form,), {self.field: forms.CharField(label=self.label, max_length=60)})

    def before(self, run: Callable[..., object]) -> Callable[..., object]:
        """Return `run`, called only when what was typed is right."""

        def checked(row: Any, *, by: User, at: datetime, **asked: Any) -> object:
            self.check(row, asked.pop(self.field))
            return run(row, **asked, by=by, at=at)

        return checked


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of the two ends of a proposal; `form` asks what `run` needs beside the row, `by` and `at`, mostly nothing."""

    label: str
    explain: str
    run: Callable[..., object]
    name: str
    form: type[forms.Form] = forms.Form
    typed: Typed | None = None
    danger: bool = False


def proposal_acts(
    *choices: Choice,
    permission: Permission,
    preview: Callable[[Any], list[tuple[str, object]]],
    waits: str = "waiting",
) -> tuple[Act, ...]:
    """Return the acts that are open while a proposal is in the state `waits`, each with the same figures above it."""
    return tuple(
        Act(
            name=choice.name,
            label=choice.label,
            explain=choice.explain,
            form=choice.typed.asked_after(choice.form) if choice.typed else choice.form,
            run=choice.typed.before(choice.run) if choice.typed else choice.run,
            states=(waits,),
            permission=permission,
            preview=preview,
            danger=choice.danger,
        )
        for choice in choices
    )


class ProposalAdmin(ActingAdmin):
    """Proposals, by the day each was made; `shown_with` are the rows that their list and pages name."""

    date_hierarchy = "proposed_at"
    shown_with: ClassVar[tuple[str, ...]]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With what a page shows of each."""
        return super().get_queryset(request).select_related(*self.shown_with)
