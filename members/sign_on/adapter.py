"""How allauth meets identities: apps from our rows, no linking by address, people with our own fields."""

from typing import Any

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.http import HttpRequest

from members.models import User
from members.sign_on.provider import apps_like


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc] # allauth carries no types
    """Everything that could link or admit somebody by an address alone says no."""

    def list_apps(self, request: HttpRequest, provider: Any = None, client_id: Any = None) -> list[Any]:  # noqa: ARG002
        """The rows of the institutions; nothing from allauth's own table or the settings."""
        return apps_like(provider, client_id)

    def can_authenticate_by_email(self, login: Any, email: str) -> bool:  # noqa: ARG002 - allauth's signature
        """Never: keys are issuer and subject."""
        return False

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:  # noqa: ARG002
        """Who an identity provider knows may have an account; what it opens is another question."""
        return True

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> User:
        """A new person: address, name, and the language of the page that they began on."""
        user: User = sociallogin.user
        user.email = str(data.get("email") or "").lower()
        user.name = str(data.get("name") or "")[:200]
        user.language = (getattr(request, "LANGUAGE_CODE", "en") or "en")[:2]
        return user
