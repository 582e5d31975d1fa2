"""Dated facts: values that hold in a half-open range of days, of which one at most holds at any time."""

from collections.abc import Sequence
from datetime import date

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.db import models
from psycopg.types.range import DateRange

from consortium.kernel.errors import PortalError


class NotDated(PortalError):
    """No value holds on that day."""

    code = "no_value_on_date"


class Dated(models.Model):
    """A row that holds during `valid`, a half-open range of days: [from, to)."""

    valid = DateRangeField()

    class Meta:
        abstract = True


def one_at_a_time(name: str, *keys: str) -> ExclusionConstraint:
    """The constraint that lets no two rows of the same `keys` hold on one day."""
    same = [(key, RangeOperators.EQUAL) for key in keys]
    return ExclusionConstraint(name=name, expressions=[*same, ("valid", RangeOperators.OVERLAPS)])


def since(first: date) -> DateRange:
    """The range that begins on `first` and has no end yet."""
    return DateRange(first, None)


def on[M: Dated](rows: "models.QuerySet[M]", day: date) -> M:
    """Return the row that holds on `day`; NotDated when none does."""
    row = rows.filter(valid__contains=day).first()
    if row is None:
        raise NotDated(f"No {rows.model._meta.verbose_name} holds on {day.isoformat()}. Enter one that begins earlier.")  # noqa: SLF001
    return row


__all__: Sequence[str] = ["Dated", "NotDated", "on", "one_at_a_time", "since"]
