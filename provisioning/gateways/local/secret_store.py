"""The secrets of a local hub: made once, kept, and completed when the spec names more people."""

import hashlib
import secrets as randomness
from collections.abc import Iterable

from provisioning.gateways.base import GatewayError
from provisioning.gateways.carrying import SignOnSecrets
from provisioning.gateways.local.files import Account, HubFolder, Secrets, write_record
from provisioning.specs import CHECK_USER, HubSpec, LocalSignOn


class MissingClientSecretError(GatewayError):
    """A hub that signs on elsewhere cannot do so without its secret there."""

    def __init__(self, slug: str) -> None:
        super().__init__(
            f"hub {slug} signs on through its university and its client secret is not stored; "
            "store it with store_client_secret and try again",
            permanent=True,
        )


def prepare_secrets(folder: HubFolder, spec: HubSpec) -> Secrets:
    """The hub's secrets, made as far as they are missing; nobody's password changes.

    Raises:
        MissingClientSecretError: the spec's sign-on needs one and none was stored.
    """
    stored = folder.secrets() or _new_secrets()
    if not stored.check_token:  # made before hubs had a synthetic user
        stored = stored.model_copy(update={"check_token": randomness.token_hex(32)})
    if isinstance(spec.sign_on, LocalSignOn):
        names = spec.sign_on.allowed_users | spec.sign_on.admins | {CHECK_USER}
        wanted = stored.model_copy(update={"accounts": _accounts(names, stored)})
    elif stored.client_secret:
        wanted = stored
    else:
        raise MissingClientSecretError(folder.slug)
    _keep(folder, wanted)
    return wanted


def store_client_secret(folder: HubFolder, client_secret: str) -> None:
    """Keeps the secret by which the hub shows itself to its sign-on provider."""
    stored = folder.secrets() or _new_secrets()
    _keep(folder, stored.model_copy(update={"client_secret": client_secret}))


def kept_secrets(folder: HubFolder) -> SignOnSecrets:
    """What the hub's sign-on rests on."""
    stored = folder.secrets() or _new_secrets()
    return SignOnSecrets(client_secret=stored.client_secret, accounts=stored.accounts)


def keep_secrets(folder: HubFolder, spec: HubSpec, secrets: SignOnSecrets) -> None:
    """Takes over the accounts of a local hub that its people are to keep, or its client secret."""
    stored = folder.secrets() or _new_secrets()
    known = {name: found for name, found in secrets.accounts.items() if isinstance(found, Account)}
    is_own = isinstance(spec.sign_on, LocalSignOn)
    both = {"accounts": {**stored.accounts, **known}} if is_own else {"client_secret": secrets.client_secret}
    _keep(folder, stored.model_copy(update=both))


def _keep(folder: HubFolder, wanted: Secrets) -> None:
    if folder.secrets() != wanted:
        write_record(folder.secrets_file, wanted)


def _new_secrets() -> Secrets:
    return Secrets(
        portal_token=randomness.token_hex(32),
        proxy_token=randomness.token_hex(32),
        cookie_secret=randomness.token_hex(32),
        check_token=randomness.token_hex(32),
    )


def _accounts(names: Iterable[str], stored: Secrets) -> dict[str, Account]:
    return {name: stored.accounts.get(name) or _new_account() for name in sorted(names)}


def _new_account() -> Account:
    password, salt = randomness.token_urlsafe(12), randomness.token_bytes(16)
    # The same parameters as in jupyterhub_config.py, which checks the password.
    found = hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)
    return Account(password=password, salt=salt.hex(), hash=found.hex())
