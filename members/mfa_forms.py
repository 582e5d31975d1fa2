"""allauth's forms of passkeys in our words; what no browser would send is refused, not stumbled over."""

from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    EditWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django.utils.translation import gettext_lazy as _

LONGEST_NAME = 100
# What the parser of a browser's answer raises when the answer is none.
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError)


class AddPasskeyForm(AddWebAuthnForm):  # type: ignore[misc] # allauth carries no types
    """A new passkey: what it is called, and whether it opens the account without a password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name, alone = self.fields["name"], self.fields["passwordless"]
        name.label, name.help_text = _("Name"), _("To know it again, such as “my phone”.")
        name.widget.attrs["maxlength"] = LONGEST_NAME
        alone.label, alone.initial = _("Sign in with it alone, without a password"), True
        alone.help_text = _("The key must be able to check that it is you. Clear this for a plain security key.")

    def clean_name(self) -> str:
        """Keep a long name short: the ceremony was done, so the key is not refused for its name."""
        name: str = super().clean_name()
        return name[:LONGEST_NAME]

    def clean(self) -> dict[str, Any]:
        """Check the browser's answer."""
        try:
            cleaned: dict[str, Any] = super().clean()
        except MALFORMED as error:
            raise get_adapter().validation_error("incorrect_code") from error
        return cleaned


class RenamePasskeyForm(EditWebAuthnForm):  # type: ignore[misc] # allauth carries no types
    """Another name for a passkey."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = _("Name")
        self.fields["name"].widget.attrs["maxlength"] = LONGEST_NAME

    def clean_name(self) -> str:
        """Keep it short."""
        name: str = self.cleaned_data["name"]
        return name[:LONGEST_NAME]


class _Guarded:
    """Refuses an answer that cannot be parsed."""

    def clean_credential(self) -> Any:
        """Check the browser's answer."""
        try:
            return super().clean_credential()  # type: ignore[misc] # of the form that this is mixed into
        except MALFORMED as error:
            raise get_adapter().validation_error("incorrect_code") from error


class UsePasskeyForm(_Guarded, AuthenticateWebAuthnForm):  # type: ignore[misc] # allauth carries no types
    """A passkey beside the password."""


class SignInByPasskeyForm(_Guarded, LoginWebAuthnForm):  # type: ignore[misc] # allauth carries no types
    """A passkey instead of the password."""


class ProveByPasskeyForm(_Guarded, ReauthenticateWebAuthnForm):  # type: ignore[misc] # allauth carries no types
    """A passkey before something that protects the account is changed."""
