"""How allauth signs people in here: by e-mail, in their language, never by a username."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest

from consortium.kernel.secrets import seal, unseal
from members.models import User

SECOND_FACTOR = "second factor"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth carries no types
    """Our people have no usernames, and remember the language they signed up in."""

    def populate_username(self, request: HttpRequest, user: User) -> None:
        """There is none."""

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Keep the language of the sign-up page with the person."""
        user.language = (getattr(request, "LANGUAGE_CODE", "en") or "en")[:2]
        saved: User = super().save_user(request, user, form, commit)
        return saved


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc] # allauth carries no types
    """Seeds of authenticator apps and recovery codes are sealed like every other secret."""

    def encrypt(self, text: str) -> str:
        """Seal before it is stored."""
        return seal(text.encode(), owner=SECOND_FACTOR)

    def decrypt(self, encrypted_text: str) -> str:
        """Open what was stored. Raises SecretUnreadable."""
        return unseal(encrypted_text, owner=SECOND_FACTOR).decode()
