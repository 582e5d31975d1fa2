"""How allauth signs people in here: by e-mail, in their language, never by a username."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from members.models import User


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth carries no types
    """Our people have no usernames, and remember the language they signed up in."""

    def populate_username(self, request: HttpRequest, user: User) -> None:
        """There is none."""

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Keep the language of the sign-up page with the person."""
        user.language = (getattr(request, "LANGUAGE_CODE", "en") or "en")[:2]
        saved: User = super().save_user(request, user, form, commit)
        return saved
