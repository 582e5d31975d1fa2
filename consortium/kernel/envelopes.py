"""Envelope encryption: each secret under a data key of its own, which alone is wrapped by the portal's keys.

Changing the portal's keys rewrites the wrapped data keys and never touches a secret; both layers carry their owner
inside the plaintext, so that neither opens when it was copied to another row.
"""

import json
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken

from consortium.kernel.secrets import SecretUnreadable, seal, unseal


@dataclass(frozen=True)
class Envelope:
    """What is stored: the data key under the portal's keys, and the secret under the data key."""

    wrapped_key: str
    sealed: str


def seal_in_envelope(secret: bytes, *, owner: str) -> Envelope:
    """Will encrypt `secret` for `owner` (such as "cluster:<id>") under a new data key."""
    key = Fernet.generate_key()
    content = json.dumps({"owner": owner, "secret": secret.hex()}).encode()
    return Envelope(wrapped_key=seal(key, owner=owner), sealed=Fernet(key).encrypt(content).decode())


def open_envelope(envelope: Envelope, *, owner: str) -> bytes:
    """Will decrypt; raises SecretUnreadable for an unknown key, a changed text or another owner's envelope."""
    key = unseal(envelope.wrapped_key, owner=owner)
    try:
        content = json.loads(Fernet(key).decrypt(envelope.sealed.encode()))
    except InvalidToken as error:
        raise SecretUnreadable("A stored secret does not open with its own key; it was changed or copied.") from error
    if content["owner"] != owner:
        raise SecretUnreadable("A stored secret belongs to another row; it was copied or moved.")
    return bytes.fromhex(content["secret"])


def rewrapped(envelope: Envelope, *, owner: str) -> Envelope:
    """Will wrap the data key with the newest of the portal's keys; the secret stays as it is stored."""
    return Envelope(wrapped_key=seal(unseal(envelope.wrapped_key, owner=owner), owner=owner), sealed=envelope.sealed)
