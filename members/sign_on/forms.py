"""Forms of the sign-on pages."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from members.models.sign_on import JoinAffiliation, SignOnKind


class DomainForm(forms.Form):
    """A domain to prove."""

    name = forms.CharField(label=_("Domain"), max_length=200, help_text=_("For example ubc.ca."))


class SignOnForm(forms.Form):
    """The identity provider; which fields count depends on what it speaks."""

    kind = forms.ChoiceField(
        label=_("What your identity provider speaks"),
        widget=forms.RadioSelect,
        choices=[
            (SignOnKind.SAML.value, _("SAML 2.0 (Shibboleth, ADFS, Entra ID…)")),
            (SignOnKind.CILOGON.value, _("CILogon")),
            (SignOnKind.OIDC.value, _("OpenID Connect")),
        ],
    )
    metadata = forms.CharField(
        label=_("Metadata of your SAML identity provider"),
        required=False,
        max_length=200_000,
        help_text=_("Paste the XML: entity id, address and certificates are taken from it."),
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
    )
    issuer = forms.CharField(
        label=_("Entity id (SAML) or issuer (OpenID Connect)"),
        required=False,
        max_length=150,
        help_text=_("CILogon's own is filled in for you."),
    )
    sso_url = forms.CharField(label=_("SAML: address that people are sent to"), required=False, max_length=300)
    certificates = forms.CharField(
        label=_("SAML: signing certificates"),
        required=False,
        max_length=40_000,
        help_text=_("In PEM form; two while you change from one to the next."),
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
    )
    client_id = forms.CharField(label=_("CILogon and OpenID Connect: client id"), required=False, max_length=250)
    secret = forms.CharField(
        label=_("CILogon and OpenID Connect: client secret"),
        required=False,
        max_length=500,
        help_text=_("It is stored sealed and never shown. Leave it empty to keep the one that is stored."),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    idp = forms.CharField(
        label=_("CILogon: entity id of your university"),
        required=False,
        max_length=250,
        help_text=_("For example https://idp.university.ca/idp/shibboleth. Only this provider is yours."),
    )
    ask_mfa = forms.BooleanField(label=_("Ask your identity provider for a second factor (REFEDS MFA)"), required=False)

    def show_needed(self, *, stored_secret: bool) -> None:
        """Drop “optional” where it would mislead; `save_sign_on` says which fields the protocol needs."""
        for name in ("idp", "client_id"):
            self.fields[name].required = True
        self.fields["secret"].required = not stored_secret


class AffiliationForm(forms.Form):
    """Whose seats come by themselves."""

    affiliations = forms.MultipleChoiceField(
        label=_("Who becomes a viewer at the first sign-in"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=[
            (JoinAffiliation.FACULTY.value, _("Faculty")),
            (JoinAffiliation.STAFF.value, _("Staff")),
            (JoinAffiliation.EMPLOYEE.value, _("Employees")),
        ],
    )


def initial_of(row: Any) -> dict[str, Any]:
    """What a form begins with: the values of a row, but never its secret."""
    names = ("kind", "issuer", "client_id", "idp", "sso_url", "certificates", "ask_mfa")
    return {name: getattr(row, name) for name in names} if row else {"kind": SignOnKind.SAML.value}
