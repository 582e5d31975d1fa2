"""Serializer fields that every resource shares."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from consortium.kernel.money import AmountInvalid, parse_amount, plain


@extend_schema_field({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "example": "1234.50"})
class AmountSerializerField(serializers.Field[Decimal, str, str, Any]):
    """An exact amount as decimal text: never a JSON number, never an exponent."""

    def to_representation(self, value: Decimal) -> str:
        """Print the Decimal with the scale it has."""
        return plain(value)

    def to_internal_value(self, data: Any) -> Decimal:
        """Parse decimal text; anything else is a validation error."""
        if not isinstance(data, str):
            raise serializers.ValidationError('Write the amount as text, such as "12.50".')
        try:
            return parse_amount(data)
        except AmountInvalid as error:
            raise serializers.ValidationError(error.message) from error
