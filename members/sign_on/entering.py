"""What verified claims mean for the person in the browser: in, a new account, or first to the account's own sign-in."""

from datetime import datetime
from typing import Any, Final

import structlog
from allauth.account.signals import user_logged_in
from allauth.socialaccount.internal.flows.login import complete_login
from django.contrib import messages
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from consortium.kernel.clock import now
from consortium.kernel.secrets import new_token
from consortium.kernel.tenancy import Scope, consortium_scope
from members.mfa import note_sign_on_factor
from members.models import SignOn, User
from members.models.sign_on import LIVE
from members.sign_on import identities
from members.sign_on.addresses import entity_id
from members.sign_on.claims import Claims
from members.sign_on.configuring import is_bound
from members.sign_on.errors import SignOnRefused
from members.sign_on.joining import follow_affiliation
from members.sign_on.provider import UniversityProvider, app_for
from members.sign_on.trips import Trip

log = structlog.get_logger(__name__)
FACTS: Final = ("sign_on", "affiliations", "bound", "mfa")


def problem_page(request: HttpRequest, error: SignOnRefused, *, institution: Any = None) -> HttpResponse:
    """Say what went wrong with an id for the help desk; the reason goes to the log beside it."""
    support_id = new_token()[:10].upper()
    log.warning("sign_on.refused", support_id=support_id, reason=error.reason, at=str(getattr(institution, "slug", "")))
    context = {"message": error.message, "support_id": support_id, "university": institution}
    return render(request, "members/sign_on_problem.html", context, status=error.status)


def enter(request: HttpRequest, sign_on: SignOn, trip: Trip, claims: Claims, *, at: datetime) -> HttpResponse:
    """Sign a known identity in, make an account for a new one, or ask for the account's own sign-in to link them.

    Raises SignOnRefused for a configuration that is not live, and for claims that name nobody.
    """
    if sign_on.status not in LIVE:
        raise SignOnRefused(_("Sign-on of this university is turned off."), reason="the configuration is not live")
    if not claims.subject:
        raise SignOnRefused(
            _("Your university did not say who you are: it released no stable id. Its help desk can mend that."),
            reason="no subject was released",
        )
    account = identities.identity(sign_on, claims.subject)
    if account is not None:
        return _known(request, sign_on, trip, claims, account.user)
    if request.user.is_authenticated:
        identities.hold(request, sign_on, claims, at=at)
        return redirect("sign_on_link")
    if not claims.email:
        return _no_address(request, sign_on)
    if identities.account_with_address(claims.email):
        identities.hold(request, sign_on, claims, at=at)
        messages.info(request, _("There is an account with your address. Sign in to it once, then link it."))
        return redirect(f"{reverse('account_login')}?next={reverse('sign_on_link')}")
    return _complete(request, sign_on, trip, claims)


def _known(request: HttpRequest, sign_on: SignOn, trip: Trip, claims: Claims, user: User) -> HttpResponse:
    if user.is_staff:
        raise SignOnRefused(
            _("Consortium staff sign in with a password and a second factor only."), reason="the account is staff's"
        )
    if request.user.is_authenticated and request.user.pk != user.pk:
        raise SignOnRefused(
            _("This identity is linked to another account. Sign out here first."), reason="another person is signed in"
        )
    return _complete(request, sign_on, trip, claims)


def _complete(request: HttpRequest, sign_on: SignOn, trip: Trip, claims: Claims) -> HttpResponse:
    """Hand over to allauth, which knows inactive accounts, unconfirmed addresses and second factors."""
    login = UniversityProvider(request, app=app_for(sign_on)).sociallogin_from_response(request, claims)
    login.state = {
        "process": "login",
        "next": trip.next or None,
        "sign_on": str(sign_on.pk),
        "affiliations": list(claims.affiliations),
        "bound": is_bound(sign_on, claims),
        "mfa": claims.mfa and is_bound(sign_on, claims),
    }
    response: HttpResponse = complete_login(request, login)
    return response


def _no_address(request: HttpRequest, sign_on: SignOn) -> HttpResponse:
    """The provider sent no mail: name the fix, for whom it is, and an id by which to find this."""
    support_id = new_token()[:10].upper()
    log.warning("sign_on.no_address", support_id=support_id, at=sign_on.institution.slug)
    context = {
        "university": sign_on.institution,
        "sign_on": sign_on,
        "support_id": support_id,
        "service": sign_on.client_id or entity_id(sign_on.institution),
    }
    return render(request, "members/sign_on_no_mail.html", context, status=403)


@receiver(user_logged_in, dispatch_uid="members.sign_on.entered")
def entered(request: HttpRequest, user: User, **kwargs: Any) -> None:
    """After every sign-in: note whether it brought a second factor, and let the affiliation give or end a seat."""
    login = kwargs.get("sociallogin")
    facts = login.state if login is not None else {}
    note_sign_on_factor(request, present=bool(facts.get("mfa")))
    if not facts.get("sign_on"):
        return
    with consortium_scope(Scope.SIGN_IN):
        sign_on = SignOn.objects.select_related("institution").filter(pk=facts["sign_on"], status__in=LIVE).first()
        if sign_on is not None:
            follow_affiliation(
                sign_on, user=user, affiliations=tuple(facts["affiliations"]), bound=facts["bound"], at=now()
            )
