"""How allauth signs people in here: by e-mail, in their language, never by a username."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest
from django.urls import reverse

from consortium.kernel.clock import now
from consortium.kernel.secrets import seal, unseal
from consortium.kernel.tenancy import Scope, consortium_scope
from members.invitations import SESSION_KEY, confirm_address
from members.models import User

SECOND_FACTOR = "second factor"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth carries no types
    """Our people have no usernames, and remember the language they signed up in."""

    def pre_login(self, request: HttpRequest, user: User, **values: Any) -> Any:
        """Let the link of an invitation prove the invited address, so that no second mail is needed."""
        if hashed := request.session.get(SESSION_KEY):
            with consortium_scope(Scope.SIGN_IN):
                confirm_address(hashed, user=user, at=now())
        return super().pre_login(request, user, **values)

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Go on with the invitation that was opened before signing in."""
        return reverse("invitation_waiting") if request.session.get(SESSION_KEY) else self._default_url(request)

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        """Go on with the invitation that was opened before signing up."""
        return self.get_login_redirect_url(request)

    def _default_url(self, request: HttpRequest) -> str:
        url: str = super().get_login_redirect_url(request)
        return url

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
