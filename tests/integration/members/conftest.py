"""The same place as in the unit stories, and identity providers whose keys are made once."""

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.integration.members.identity_providers import OidcIdp, SamlIdp, keypair, oidc_idp
from tests.unit.members.conftest import birch, scope, terms

__all__ = ["birch", "scope", "terms"]


@pytest.fixture(scope="session")
def keys() -> tuple[str, str]:
    return keypair()


@pytest.fixture(scope="session")
def other_keys() -> tuple[str, str]:
    return keypair()


@pytest.fixture
def saml_idp(keys: tuple[str, str]) -> SamlIdp:
    return SamlIdp(*keys)


@pytest.fixture
def oidc(keys: tuple[str, str], settings: Any) -> Iterator[OidcIdp]:
    """A provider on this machine, which the portal may only speak with because the setting says so."""
    settings.SIGN_ON_LOOPBACK = True
    with oidc_idp(load_pem_private_key(keys[0].encode(), None)) as idp:
        idp.claims = {"sub": "ana-17", "email": "ana@cedar.example", "name": "Ana Lima"}
        idp.claims |= {"eduperson_scoped_affiliation": ["staff@cedar.example"]}
        yield idp


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Hashing a password well takes a tenth of a second; what is tested here is not the hash."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
