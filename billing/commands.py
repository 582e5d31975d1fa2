"""Commands that may be sent again: the same key and body return the first result, another body is refused.

The key is the sender's (a form's hidden field, a program's own number). Keys are kept for ever, with the row they made.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _

from billing.models.commands import Commanded
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import EXACT, plain

Value = str | int | bool | Decimal | date | UUID | None


class KeyReused(PortalError):
    """The key was used before for something else; nothing was done."""

    code = "key_reused"


def body_digest(body: Mapping[str, Value]) -> str:
    """Will return the SHA-256 of a command's body: 1.5 and 1.50 are the same amount, the order of names is none."""
    words = {name: _word(value) for name, value in body.items()}
    return hashlib.sha256(json.dumps(words, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def first_result[M: Commanded](model: type[M], *, key: str, body: Mapping[str, Value]) -> M | None:
    """Return the row that the key made before, or None for a new key, which this transaction now holds.

    Two senders of one key wait for each other. Raises KeyReused for another body, Invalid for an empty key.
    """
    if not key.strip():
        raise Invalid(_("A command needs a key, so that sending it again does nothing twice."), field="key")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{model.__name__}:{key}"])
    row = model._default_manager.filter(command_key=key).first()  # noqa: SLF001 - the model's public manager
    if row is not None and row.command_digest != body_digest(body):
        raise KeyReused(_("This key was used before for something else. Nothing was done; send it with a new key."))
    return row


def _word(value: Value) -> str | int | bool | None:
    if isinstance(value, Decimal):
        return plain(EXACT.normalize(value))
    if isinstance(value, (date, UUID)):
        return str(value)
    return value
