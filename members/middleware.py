"""Owners, finance people and staff must have a second factor before they see anything of their institution."""

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from consortium.kernel.tenancy import Scope, consortium_scope
from members.mfa import second_factor_present
from members.models import User
from members.permissions import must_use_mfa

# What a person without a second factor may still reach: setting it up, signing out, help, assets.
OPEN_VIEWS = (
    "account_",
    "mfa_",
    "sign_on_begin",
    "sign_on_callback",
    "sign_on_acs",
    "sign_on_finish",
    "home",
    "status",
    "privacy",
    "livez",
    "readyz",
    "documentation",
)


class MfaRequiredMiddleware:
    """Sends a person who must have a second factor, and has none, to the page that sets it up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; `process_view` does the work, since it knows the route."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_args: object) -> HttpResponse | None:
        """Redirect to the set-up page where a second factor is missing."""
        user = request.user
        match = request.resolver_match
        if not isinstance(user, User) or match is None or request.path.startswith(settings.STATIC_URL):
            return None
        if (match.url_name or "").startswith(OPEN_VIEWS) and "admin" not in match.app_names:
            return None
        if second_factor_present(request):
            return None
        with consortium_scope(Scope.SIGN_IN):
            required = must_use_mfa(user)
        if not required:
            return None
        messages.warning(request, _("Your role needs a second factor. Set up an authenticator app to go on."))
        return redirect("mfa_activate_totp")
