"""Our one provider for allauth: every institution's sign-on, told apart by the app that stands for its row."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.base import Provider, ProviderAccount
from django.http import HttpRequest
from django.urls import reverse

from consortium.kernel.tenancy import Scope, consortium_scope
from members.domains import verified_domains
from members.models import SignOn
from members.models.sign_on import LIVE
from members.sign_on.claims import Claims
from members.sign_on.configuring import is_bound
from members.sign_on.identities import key_of


class UniversityAccount(ProviderAccount):  # type: ignore[misc] # allauth carries no types
    """An identity as allauth shows it."""


class UniversityProvider(Provider):  # type: ignore[misc] # allauth carries no types
    """Turns verified claims into allauth's social login; the protocols are `oidc` and `saml` of this package."""

    id = "university"
    name = "University"
    account_class = UniversityAccount

    def get_login_url(self, request: HttpRequest, **_kwargs: Any) -> str:  # noqa: ARG002 - allauth's signature
        """Where sign-on with this institution begins."""
        return reverse("sign_on_begin", args=[self.app.client_id])

    def extract_uid(self, data: Claims) -> str:
        """The subject: never an address."""
        return data.subject

    def extract_extra_data(self, data: Claims) -> dict[str, Any]:  # noqa: ARG002 - allauth's signature
        """Nothing: what a provider releases is used and forgotten."""
        return {}

    def extract_common_fields(self, data: Claims) -> dict[str, Any]:
        """What a new person begins with."""
        return {"email": data.email, "name": data.name}

    def extract_email_addresses(self, data: Claims) -> list[Any]:
        """The address; confirmed without a mail when the institution's own provider says it of a verified domain."""
        sign_on: SignOn = self.app.settings["row"]
        with consortium_scope(Scope.SIGN_IN):
            domains = verified_domains(sign_on.institution_id)
        own = is_bound(sign_on, data) and data.email.rpartition("@")[2].lower() in domains
        return [EmailAddress(email=data.email.lower(), verified=own and data.email_verified, primary=True)]

    def cleanup_email_addresses(self, email: Any, addresses: list[Any], email_verified: bool = False) -> Any:  # noqa: ARG002
        """They are as they are: whether one is confirmed was decided above."""
        return email or None


def app_for(sign_on: SignOn) -> Any:
    """The app that stands for a row. It is never saved, and holds no secret."""
    app = SocialApp(
        provider=UniversityProvider.id,
        provider_id=key_of(sign_on),
        name=sign_on.institution.name_en[:40],
        client_id=sign_on.institution.slug,
    )
    app.settings = {"row": sign_on}
    return app


def apps_like(provider: str | None, slug: str | None) -> list[Any]:
    """The apps of all live rows, or those with that key or slug."""
    rows = SignOn.objects.filter(status__in=LIVE).select_related("institution")
    if slug:
        rows = rows.filter(institution__slug=slug)
    if provider and provider != UniversityProvider.id:
        institution_id, _, issuer = provider.partition("|")
        rows = rows.filter(institution_id=institution_id, issuer=issuer) if issuer else rows.none()
    with consortium_scope(Scope.SIGN_IN):
        return [app_for(row) for row in rows]
