"""Whether the person has just shown that the account is theirs: what linking and unlinking ask for."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.core.exceptions import ReauthenticationRequired
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

SECONDS: Final = 300


def is_fresh(request: HttpRequest) -> bool:
    """Whether the account's own password or second factor was given in the last five minutes.

    Who has neither shows the account by the sign-on of that time instead.
    """
    own = {"password", "mfa"} if get_reauthentication_flows(request.user) else {"socialaccount"}
    since, records = time.time() - SECONDS, get_authentication_records(request, request.user)
    return any(record["method"] in own and record["at"] >= since for record in records)


def fresh_sign_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Ask for the password or second factor again before the view, unless it was just given."""

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not is_fresh(request):
            if get_reauthentication_flows(request.user):
                raise ReauthenticationRequired
            messages.warning(request, _("That needs a fresh sign-in. Sign out, sign in again, then repeat it."))
            return redirect("sign_on_identities")
        return view(request, *args, **kwargs)

    return page
