"""Kubernetes quantities, such as 384Mi and 50m, as exact numbers."""

from decimal import Decimal, InvalidOperation

_FACTORS = {
    "m": Decimal("0.001"), "": Decimal(1), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip


def quantity(text: str) -> Decimal | None:
    """The number, in bytes or cores; None for what is no quantity."""
    number = text.rstrip("kmKMGTi")
    factor = _FACTORS.get(text[len(number) :])
    try:
        return None if factor is None else Decimal(number) * factor
    except InvalidOperation:
        return None
