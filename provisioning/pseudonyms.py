"""A person's name on a hub becomes a pseudonym before it is stored. Pure.

The key belongs to one institution and never leaves the portal: the same person at two institutions has two
pseudonyms, and to destroy the key is to make all of them nobody's.
"""

import hashlib
import hmac

KEY_BYTES = 32
PSEUDONYM_LENGTH = 32


class WeakPseudonymKeyError(ValueError):
    """The key is too short to protect the names behind the pseudonyms."""

    def __init__(self, length: int) -> None:
        super().__init__(
            f"the institution's pseudonym key has {length} bytes and needs {KEY_BYTES}; "
            "make a new one with secrets.token_bytes"
        )


def pseudonym(key: bytes, user_name: str) -> str:
    """The first 128 bits of HMAC-SHA256 over the name's UTF-8 bytes, as 32 hex digits.

    The name is taken as the hub gives it (hubs normalise names themselves), so equal names give equal pseudonyms.

    Raises:
        WeakPseudonymKeyError: the key has fewer than `KEY_BYTES` bytes.
    """
    if len(key) < KEY_BYTES:
        raise WeakPseudonymKeyError(len(key))
    return hmac.new(key, user_name.encode(), hashlib.sha256).hexdigest()[:PSEUDONYM_LENGTH]
