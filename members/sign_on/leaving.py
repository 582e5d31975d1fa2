"""Off to the identity provider: a redirect, and a trip that the session remembers."""

from dataclasses import replace
from datetime import datetime

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import get_language

from members.models import SignOn
from members.sign_on import oidc, saml
from members.sign_on.addresses import redirect_uri
from members.sign_on.trips import Trip, remember


def leave(request: HttpRequest, sign_on: SignOn, *, purpose: str, at: datetime, next_url: str = "") -> HttpResponse:
    """Redirect to the provider. Raises SignOnRefused when OpenID Connect's cannot be asked where to go."""
    language = (get_language() or "en")[:2]
    trip = Trip(sign_on=str(sign_on.pk), purpose=purpose, language=language, next=next_url)
    if sign_on.kind == "saml":
        url, key = saml.departure(sign_on)
    else:
        url, key, more = oidc.departure(sign_on, redirect_uri=redirect_uri(sign_on.institution))
        trip = replace(trip, **more)
    remember(request, key, trip, at=at)
    response = HttpResponseRedirect(url)
    response["Cache-Control"] = "no-store"
    return response
