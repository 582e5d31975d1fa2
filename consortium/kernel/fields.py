"""Database fields that every app shares: keys, exact amounts, currencies, states."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import UUID7

from consortium.kernel.money import AmountInvalid, plain

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    DecimalField = models.DecimalField[Decimal | str | int, Decimal]
else:
    DecimalField = models.DecimalField


class Row(models.Model):
    """A row whose key is a UUIDv7 made by PostgreSQL: sortable by time, safe in a URL."""

    id = models.UUIDField(primary_key=True, db_default=UUID7(), editable=False)

    class Meta:
        abstract = True


class AmountField(DecimalField):
    """An exact amount in unconstrained `numeric`: the scale that came in is kept, its currency stands beside it.

    PostgreSQL refuses NaN and infinities (NaN sorts above every number, so the bound catches it too).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("max_digits", None)
        kwargs.pop("decimal_places", None)
        super().__init__(*args, **kwargs)

    def db_type(self, connection: "BaseDatabaseWrapper") -> str:  # noqa: ARG002 - Django's signature
        """Name the column type."""
        return "numeric"

    def db_check(self, connection: "BaseDatabaseWrapper") -> str:
        """Refuse NaN and infinities in the column itself."""
        return f"abs({connection.ops.quote_name(str(self.column))}) < 1e30"

    def to_python(self, value: Any) -> Decimal | None:
        """Accept Decimal, int and plain decimal text; refuse floats, NaN and infinities."""
        if isinstance(value, float):
            raise ValidationError("An amount must be written as exact decimal text, not as a float.")
        number: Decimal | None = super().to_python(value)
        if number is not None and not number.is_finite():
            raise ValidationError("An amount must be a finite number.")
        return number

    def get_db_prep_value(self, value: Any, connection: "BaseDatabaseWrapper", prepared: bool = False) -> Any:
        """Hand PostgreSQL the Decimal as it is, so that no scale is lost."""
        if hasattr(value, "resolve_expression"):
            return super().get_db_prep_value(value, connection, prepared)
        return self.to_python(value)

    def get_db_prep_save(self, value: Any, connection: "BaseDatabaseWrapper") -> Any:
        """Same as for comparison: the Decimal itself."""
        if hasattr(value, "as_sql"):
            return value
        return self.get_db_prep_value(value, connection, prepared=False)

    def value_to_string(self, obj: models.Model) -> str:
        """Print without an exponent."""
        value = self.value_from_object(obj)
        return "" if value is None else plain(value)


class CurrencyField(models.CharField):  # type: ignore[type-arg]
    """An ISO 4217 code; the column checks its shape, the kernel's money module its existence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = 3
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        """Leave out what is fixed."""
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("max_length", None)
        return name, path, args, kwargs

    def db_check(self, connection: "BaseDatabaseWrapper") -> str:
        """Refuse anything but three capital letters."""
        return f"{connection.ops.quote_name(str(self.column))} ~ '^[A-Z]{{3}}$'"


__all__ = ["AmountField", "AmountInvalid", "CurrencyField", "Row"]
