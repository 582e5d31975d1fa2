"""Secrets at rest: Fernet keys from the environment, newest first; the owner is inside the plaintext and checked."""

import hashlib
import json
import secrets

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from consortium.kernel.errors import PortalError


class SecretUnreadable(PortalError):
    """The stored secret does not open with the keys of this portal, or belongs to something else."""

    code = "secret_unreadable"
    status = 500


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.FIELD_KEYS])


def seal(secret: bytes, *, owner: str) -> str:
    """Encrypt `secret` for `owner` (such as "institution:<id>")."""
    return _keys().encrypt(json.dumps({"owner": owner, "secret": secret.hex()}).encode()).decode()


def unseal(sealed: str, *, owner: str) -> bytes:
    """Decrypt; SecretUnreadable when the key is unknown or the secret was sealed for another owner."""
    try:
        content = json.loads(_keys().decrypt(sealed.encode()))
    except InvalidToken as error:
        raise SecretUnreadable("A stored secret does not open: is its key missing from FIELD_KEYS?") from error
    if content["owner"] != owner:
        raise SecretUnreadable("A stored secret belongs to another row; it was copied or moved.")
    return bytes.fromhex(content["secret"])


def new_token() -> str:
    """A random token of 256 bits for links and programs."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """How a token is stored: tokens are random, so one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()
