"""Signing on: off to the university's identity provider, and what comes back."""

from typing import Any
from uuid import UUID

from allauth.account.adapter import get_adapter
from allauth.account.views import LoginView
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Institution, SignOn, User
from members.models.sign_on import LIVE
from members.permissions import Permission, permissions_at
from members.sign_on import assertions, configuring, identities, oidc, saml
from members.sign_on.addresses import redirect_uri
from members.sign_on.claims import Claims
from members.sign_on.entering import enter, problem_page
from members.sign_on.errors import SignOnRefused
from members.sign_on.finding import universities
from members.sign_on.freshness import fresh_sign_in
from members.sign_on.joining import follow_affiliation
from members.sign_on.leaving import leave
from members.sign_on.trips import Trip, take


class SignInView(LoginView):  # type: ignore[misc] # allauth carries no types
    """The sign-in page: find your university, or use a password."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add what the search for a university finds."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        text = self.request.GET.get("university", "")[:100]
        next_url = self.request.GET.get("next", "")
        safe = next_url if next_url and get_adapter(self.request).is_safe_url(next_url) else ""
        return context | {"text": text, "universities": universities(text), "next_url": safe}


def _institution(slug: str) -> Institution:
    institution = Institution.objects.filter(slug=slug).first()
    if institution is None:
        raise Http404
    return institution


@never_cache
@require_safe
def begin(request: HttpRequest, slug: str) -> HttpResponse:
    """Go to the university's identity provider. A link on purpose: it changes nothing here until an answer holds."""
    institution = _institution(slug)
    next_url = request.GET.get("next", "")
    if next_url and not get_adapter(request).is_safe_url(next_url):
        next_url = ""
    with consortium_scope(Scope.SIGN_IN):
        sign_on = configuring.live_sign_on(institution.pk)
    if sign_on is None:
        raise Http404
    wanted = request.GET.get("language", "")
    if wanted in dict(settings.LANGUAGES):  # this address has no language of its own
        translation.activate(wanted)
    try:
        return leave(request, sign_on, purpose="sign_in", at=now(), next_url=next_url)
    except SignOnRefused as error:
        return problem_page(request, error, institution=institution)


def _row(trip: Trip, institution: Institution, *, answered: UUID | None = None) -> SignOn:
    with consortium_scope(Scope.SIGN_IN):
        row = SignOn.objects.select_related("institution").filter(pk=trip.sign_on, institution=institution).first()
    if row is None or answered not in (None, row.pk):
        raise SignOnRefused(
            _("This sign-in was not begun in this browser, or it took longer than ten minutes. Begin again."),
            reason="the trip went to another institution or configuration",
        )
    return row


@never_cache
@require_safe
def callback(request: HttpRequest, slug: str) -> HttpResponse:
    """OpenID Connect's answer."""
    institution, at = _institution(slug), now()
    try:
        trip = take(request, request.GET.get("state", ""), at=at)
        sign_on = _row(trip, institution)
        claims = oidc.arrival(sign_on, trip, answer=request.GET.dict(), redirect_uri=redirect_uri(institution))
        return _arrived(request, sign_on, trip, claims)
    except SignOnRefused as error:
        return problem_page(request, error, institution=institution)


def _saml_row(institution: Institution, wanted: str) -> SignOn:
    """The configuration that the answer says it is for, else the live one; the trip must name the same one later."""
    with consortium_scope(Scope.SIGN_IN):
        found = [configuring.live_sign_on(institution.pk), configuring.open_sign_on(institution.pk)]
    rows = [row for row in found if row is not None and row.kind == "saml"]
    chosen = next((row for row in rows if str(row.pk) == wanted), None)
    chosen = chosen or next((row for row in rows if row.status in LIVE), None)
    if chosen is None:
        raise SignOnRefused(_("Sign-on of this university is turned off."), reason="no SAML configuration")
    return chosen


@csrf_exempt  # posted from the identity provider's site; what it says is signed
@never_cache
@require_POST
def acs(request: HttpRequest, slug: str) -> HttpResponse:
    """SAML's answer: checked, used up, and put down until the browser comes for it with its session."""
    institution = _institution(slug)
    try:
        sign_on = _saml_row(institution, request.POST.get("RelayState", ""))
        answer = saml.arrival(sign_on, request.POST.get("SAMLResponse", ""))
        with consortium_scope(Scope.SIGN_IN):
            ticket = assertions.put_down(sign_on, answer, at=now())
    except SignOnRefused as error:
        return problem_page(request, error, institution=institution)
    return redirect("sign_on_finish", slug=slug, ticket=ticket)


@never_cache
@require_safe
def finish(request: HttpRequest, slug: str, ticket: str) -> HttpResponse:
    """The browser comes for what its identity provider said: only the one that had asked gets it."""
    institution, at = _institution(slug), now()
    try:
        with consortium_scope(Scope.SIGN_IN):
            row, claims = assertions.pick_up(ticket, at=at)
        trip = take(request, row.in_response_to, at=at)
        sign_on = _row(trip, institution, answered=row.sign_on_id)
        return _arrived(request, sign_on, trip, claims)
    except SignOnRefused as error:
        return problem_page(request, error, institution=institution)


def _arrived(request: HttpRequest, sign_on: SignOn, trip: Trip, claims: Claims) -> HttpResponse:
    translation.activate(trip.language)  # these addresses have no language of their own
    request.LANGUAGE_CODE = trip.language
    if trip.purpose == "test":
        return _tested(request, sign_on, claims)
    return enter(request, sign_on, trip, claims, at=now())


def _tested(request: HttpRequest, sign_on: SignOn, claims: Claims) -> HttpResponse:
    user = request.user
    if not isinstance(user, User):
        raise SignOnRefused(_("You are not signed in any more. Sign in, then test again."), reason="nobody is there")
    with consortium_scope(Scope.SIGN_IN):
        held = permissions_at(user, sign_on.institution_id)
    if Permission.MANAGE_SIGN_ON not in held:
        raise SignOnRefused(_("Your role at this institution does not allow this."), reason="not theirs to test")
    with consortium_scope(Scope.SIGN_IN):
        test = configuring.record_test(sign_on, claims, by=user, at=now())
    if test.passed:
        messages.success(request, _("The test passed: everything that is needed was released."))
    else:
        messages.warning(request, _("The test did not pass: something that is needed is missing."))
    return redirect("sign_on", slug=sign_on.institution.slug)


def metadata(request: HttpRequest, slug: str) -> HttpResponse:  # noqa: ARG001 - a view takes the request
    """The portal's SAML metadata for the institution's identity provider."""
    return HttpResponse(saml.metadata(_institution(slug)), content_type="application/samlmetadata+xml")


@never_cache
@login_required
@fresh_sign_in
def link(request: HttpRequest) -> HttpResponse:
    """Show the identity that was proven in this browser; a post links it to the account that is signed in."""
    user, at = request.user, now()
    assert isinstance(user, User)  # noqa: S101 - login_required
    pending = identities.held(request, at=at)
    if pending is None:
        return redirect("sign_on_identities")
    if request.method != "POST":
        return render(request, "members/sign_on_link.html", {"pending": pending})
    identities.release(request)
    try:
        with consortium_scope(Scope.SIGN_IN):
            identities.link(user, pending, at=at)
            sign_on = SignOn.objects.select_related("institution").get(pk=pending.sign_on_id)
            follow_affiliation(sign_on, user=user, affiliations=pending.affiliations, bound=pending.bound, at=at)
    except PortalError as error:
        messages.error(request, error.message)
    else:
        name = pending.institution.name
        messages.success(
            request, _("Linked. From now on you can sign in through %(university)s.") % {"university": name}
        )
    return redirect("sign_on_identities")


@never_cache
@login_required
def own_identities(request: HttpRequest) -> HttpResponse:
    """The universities through which the person can sign in; unlink one, or link another."""
    user = request.user
    assert isinstance(user, User)  # noqa: S101 - login_required
    rows = []
    for account in SocialAccount.objects.filter(user=user).order_by("date_joined"):
        institution_id, _bar, issuer = account.provider.partition("|")
        rows.append((account, Institution.objects.filter(pk=institution_id).first(), issuer))
    text = request.GET.get("university", "")[:100]
    context = {"rows": rows, "text": text, "universities": universities(text)}
    return render(request, "members/sign_on_identities.html", context)


@require_POST
@login_required
@fresh_sign_in
def unlink(request: HttpRequest, pk: int) -> HttpResponse:
    """Unlink an identity."""
    assert isinstance(request.user, User)  # noqa: S101 - login_required
    try:
        with consortium_scope(Scope.SIGN_IN):
            identities.unlink(request.user, pk, at=now())
    except PortalError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("Unlinked."))
    return redirect("sign_on_identities")


def sign_in_url(institution: Institution) -> str:
    """The sign-in page with the institution found already."""
    return f"{reverse(settings.LOGIN_URL)}?university={institution.slug}"
