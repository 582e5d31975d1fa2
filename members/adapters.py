"""How allauth signs people in here: by e-mail, in their language, never by a username."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.stagekit import clear_login
from allauth.mfa.adapter import DefaultMFAAdapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from consortium.kernel.clock import now
from consortium.kernel.secrets import seal, unseal
from consortium.kernel.tenancy import Scope, consortium_scope
from members.invitations import SESSION_KEY, confirm_address
from members.models import User
from members.sign_on.identities import held
from members.sign_on.passwords import requiring_institution

SECOND_FACTOR = "second factor"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth carries no types
    """Our people have no usernames, and remember the language they signed up in."""

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

    def get_login_stages(self) -> list[str]:
        """Let our stage ask for the second factor: it knows who has just shown one to an identity provider."""
        ours = {"allauth.mfa.stages.AuthenticateStage": "members.sign_on.stages.SecondFactorStage"}
        return [ours.get(stage, stage) for stage in super().get_login_stages()]

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse | None:
        """Refuse whatever is not sign-on where the person's institution requires it.

        Whoever has just proven an identity of that institution may still use the password once, to link the two. The
        link of an invitation proves the invited address, so that no second mail is needed.
        """
        if hashed := request.session.get(SESSION_KEY):
            with consortium_scope(Scope.SIGN_IN):
                confirm_address(hashed, user=user, at=now())
        refused: HttpResponse | None = super().pre_login(request, user, **kwargs)
        if refused is not None or "sociallogin" in (kwargs.get("signal_kwargs") or {}):
            return refused
        with consortium_scope(Scope.SIGN_IN):
            institution = requiring_institution(user)
        pending = held(request, at=now())
        if institution is None or (pending is not None and pending.institution == institution):
            return None
        clear_login(request)
        messages.error(
            request, _("%(university)s requires its own sign-in. Continue there.") % {"university": institution.name}
        )
        return redirect(f"{reverse('account_login')}?university={institution.slug}")


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc] # allauth carries no types
    """Seeds of authenticator apps and recovery codes are sealed like every other secret."""

    def encrypt(self, text: str) -> str:
        """Seal before it is stored."""
        return seal(text.encode(), owner=SECOND_FACTOR)

    def decrypt(self, encrypted_text: str) -> str:
        """Open what was stored. Raises SecretUnreadable."""
        return unseal(encrypted_text, owner=SECOND_FACTOR).decode()
