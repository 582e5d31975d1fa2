"""The page behind the link of an invitation. A GET changes nothing: mail scanners follow links.

The link is looked at, then put away in the session as its hash, so that it is in no later address; the person signs
up or in, comes back to `invitation_waiting`, and accepts with a button.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.secrets import token_hash
from consortium.kernel.tenancy import Scope, consortium_scope
from members.invitations import SESSION_KEY, WrongPerson, accept_invitation, may_accept, open_invitation
from members.models import Invitation, User
from members.queries import role_words


def _quiet(view: Callable[Concatenate[HttpRequest, ...], HttpResponse]) -> Callable[..., HttpResponse]:
    """Keep the link secret: not indexed, not kept by caches, its path told to nobody."""

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with consortium_scope(Scope.SIGN_IN):
            response = view(request, *args, **kwargs)
        response["Referrer-Policy"] = "strict-origin"
        response["X-Robots-Tag"] = "noindex, nofollow"
        response["Cache-Control"] = "private, no-store"
        return response

    return page


@_quiet
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """What the link invites to; POST goes on: to sign up, to sign in, or to accept."""
    return _page(request, token_hash(token))


@_quiet
def invitation_waiting(request: HttpRequest) -> HttpResponse:
    """The invitation that the person opened before signing up or in."""
    hashed = request.session.get(SESSION_KEY, "")
    if not hashed:
        return redirect("dashboard")
    return _page(request, hashed)


def _page(request: HttpRequest, hashed: str) -> HttpResponse:
    try:
        row = open_invitation(hashed, at=now())
    except PortalError as error:
        request.session.pop(SESSION_KEY, None)
        return render(request, "members/invitation_closed.html", {"problem": error}, status=error.status)
    if request.method == "POST":
        return _go_on(request, row, hashed)
    return _invitation(request, row)


def _invitation(request: HttpRequest, row: Invitation, *, problem: str = "", status: int = 200) -> HttpResponse:
    user = request.user
    is_mine = isinstance(user, User) and may_accept(row, user)
    if user.is_authenticated and not is_mine:
        status = 403
    context = {
        "invitation": row,
        "university": row.institution,
        "role": role_words(row.role),
        "is_mine": is_mine,
        "has_account": _has_account(row),
        "problem": problem,
    }
    return render(request, "members/invitation.html", context, status=status)


def _has_account(row: Invitation) -> bool:
    # Whoever holds the link reads that address's mail, so this tells nothing to strangers.
    by_address = EmailAddress.objects.filter(email__iexact=row.email, verified=True)
    return by_address.exists() or User.objects.filter(email__iexact=row.email).exists()


def _go_on(request: HttpRequest, row: Invitation, hashed: str) -> HttpResponse:
    user = request.user
    if isinstance(user, User):
        try:
            accept_invitation(hashed, by=user, at=now())
        except WrongPerson as error:
            return _invitation(request, row, status=error.status)
        except PortalError as error:
            return _invitation(request, row, problem=error.message, status=error.status)
        request.session.pop(SESSION_KEY, None)
        messages.success(request, _("Welcome. You act for %(university)s now.") % {"university": row.institution.name})
        return redirect("institution", slug=row.institution.slug)
    request.session[SESSION_KEY] = hashed
    if _has_account(row):
        return redirect("account_login")
    get_adapter().stash_verified_email(request, row.email)
    return redirect("account_signup")
