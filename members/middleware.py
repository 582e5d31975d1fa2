"""Owners, finance people and staff must have a second factor; and without the limiter nobody signs in."""

from collections.abc import Callable
from typing import Final

import structlog
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from consortium.kernel.tenancy import Scope, consortium_scope
from members.mfa import second_factor_present
from members.models import User
from members.permissions import must_use_mfa

log = structlog.get_logger(__name__)

# What a person without a second factor may still reach: setting it up, signing out, help, assets, being invited.
OPEN_PREFIXES: Final = ("account_", "mfa_", "home", "status", "privacy", "livez", "readyz", "documentation")
OPEN_VIEWS: Final = frozenset(
    {"invitation", "invitation_waiting", "sign_on_begin", "sign_on_callback", "sign_on_acs", "sign_on_finish"}
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
        name = match.url_name or ""
        if (name in OPEN_VIEWS or name.startswith(OPEN_PREFIXES)) and "admin" not in match.app_names:
            return None
        if second_factor_present(request):
            return None
        with consortium_scope(Scope.SIGN_IN):
            required = must_use_mfa(user)
        if not required:
            return None
        messages.warning(request, _("Your role needs a second factor. Set up a passkey or an authenticator app."))
        return redirect("mfa_index")


class LimiterDownMiddleware:
    """While the limiter is unreachable nobody signs in, since nobody would count the guesses."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; `process_exception` does the work."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer 503 with a page of ours where Redis did not answer; every other error goes its way."""
        if not isinstance(exception, RedisError):
            return None
        log.error("limiter.unreachable", error=type(exception).__name__)
        response = render(request, "503.html", status=503)
        response["Retry-After"] = "60"
        return response
