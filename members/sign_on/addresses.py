"""The portal's own addresses in sign-on, as identity providers know them: one set per institution, in no language."""

from django.conf import settings
from django.urls import reverse

from members.models import Institution


def absolute(route: str, institution: Institution) -> str:
    """An address of PUBLIC_URL, whatever host name the request was made with."""
    return str(settings.PUBLIC_URL) + reverse(route, args=[institution.slug])


def redirect_uri(institution: Institution) -> str:
    """Where OpenID Connect's answer comes back."""
    return absolute("sign_on_callback", institution)


def acs_url(institution: Institution) -> str:
    """Where a SAML answer is posted."""
    return absolute("sign_on_acs", institution)


def entity_id(institution: Institution) -> str:
    """The portal's SAML entity id for this institution: the address of its metadata."""
    return absolute("sign_on_metadata", institution)
