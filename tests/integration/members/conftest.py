"""The same place as in the unit stories: published terms, and a university that wants to join."""

from typing import Any

import pytest

from tests.unit.members.conftest import birch, terms

__all__ = ["birch", "terms"]


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Hashing a password well takes a tenth of a second; what is tested here is not the hash."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
