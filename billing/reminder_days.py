"""On which day a reminder is due: steps counted from the due day, never on a day when universities are closed. Pure.

The courtesy note comes before the due day and so moves back from a closed day; every later step moves forward.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

from consortium.kernel.errors import Invalid

SATURDAY: Final = 5
ONE_DAY: Final = timedelta(days=1)


class Step(StrEnum):
    """What is done about an invoice that is not paid, in order."""

    COURTESY = "courtesy"  # a friendly note before it is due
    FIRST = "first"
    SECOND = "second"  # with a link to dispute a line
    COPIED = "copied"  # the member's administrators get a copy
    HUMAN = "human"  # one of our people gets in touch; no mail by itself


ORDER: Final = tuple(Step)


@dataclass(frozen=True, slots=True)
class ReminderDays:
    """Days before (courtesy) and after the due day at which each step comes. Raises Invalid when they do not rise."""

    courtesy: int = 7
    first: int = 3
    second: int = 15
    copied: int = 30
    human: int = 60

    def __post_init__(self) -> None:
        """Refuse steps that would come out of order."""
        after = (0, self.first, self.second, self.copied, self.human)
        if self.courtesy < 1 or any(one >= two for one, two in pairwise(after)):
            raise Invalid("The steps must follow each other: 1 day before or more, then rising days after.")

    def day_of(self, step: Step, due_on: date) -> date:
        """Will return the open day on which a step is due."""
        if step is Step.COURTESY:
            return _open_day(due_on - timedelta(days=self.courtesy), by=-ONE_DAY)
        return _open_day(due_on + timedelta(days=getattr(self, step.value)), by=ONE_DAY)

    def due(self, due_on: date, *, today: date, taken: Collection[Step]) -> tuple[Step | None, list[Step]]:
        """Will return the step to take today, and the earlier ones that it stands in for; none on a closed day.

        After a pause only the newest step is taken, and none when a later one was taken already. A courtesy note is
        never sent once the due day has come.
        """
        if is_closed(today):
            return None, []
        last = max((ORDER.index(step) for step in taken), default=-1)
        reached = [step for step in ORDER[last + 1 :] if self.day_of(step, due_on) <= today]
        if reached == [Step.COURTESY] and today >= due_on:
            return None, []
        return (reached[-1], reached[:-1]) if reached else (None, [])


NAMES: Final = tuple(field.name for field in fields(ReminderDays))


def is_closed(day: date) -> bool:
    """Tell whether universities are closed: weekends, the first of July, 24 December to 2 January."""
    if day.weekday() >= SATURDAY or (day.month, day.day) == (7, 1):
        return True
    return (day.month == 12 and day.day >= 24) or (day.month == 1 and day.day <= 2)


def _open_day(day: date, *, by: timedelta) -> date:
    while is_closed(day):
        day += by
    return day
