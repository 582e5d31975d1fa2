"""Forms of the app's pages: they read and check single values; rules live in the functions the views call."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from consortium.kernel.errors import PortalError
from members.permissions import Permission

LONG = 5_000

# What a program may be allowed to do through the API, in words.
TOKEN_PERMISSIONS: Mapping[Permission, Promise] = {
    Permission.VIEW_INSTITUTION: _("Read what the institution is"),
    Permission.VIEW_HUBS: _("Read hubs"),
    Permission.VIEW_USAGE: _("Read use"),
    Permission.VIEW_COSTS: _("Read costs"),
    Permission.VIEW_INVOICES: _("Read invoices"),
}


def show_refusal(form: forms.BaseForm, error: PortalError) -> None:
    """Show what a domain function refused where the person can mend it."""
    form.add_error(error.field if error.field in form.fields else None, error.message)


class TextForm(forms.Form):
    """A question, an answer, a note, a reason."""

    text = forms.CharField(label=_("Your answer"), max_length=LONG, widget=forms.Textarea(attrs={"rows": 5}))


class SignForm(forms.Form):
    """A signature: the name and title as they stand under the agreement, and consent."""

    name = forms.CharField(label=_("Your name"), max_length=200)
    title = forms.CharField(label=_("Your title"), max_length=200)
    consent = forms.BooleanField(
        label=_("I have read this agreement, I agree to it, and I may sign it for the party named above."),
        required=False,  # members.agreements says what is missing
    )
    language = forms.CharField(widget=forms.HiddenInput, max_length=2)
    seen = forms.CharField(widget=forms.HiddenInput, max_length=64)


class TokenForm(forms.Form):
    """A token of a program: its name, what it may do, until when."""

    name = forms.CharField(label=_("Name"), max_length=100, help_text=_("What program it is for."))
    permissions = forms.MultipleChoiceField(label=_("What it may do"), widget=forms.CheckboxSelectMultiple)
    days = forms.TypedChoiceField(
        label=_("Ends after"),
        coerce=int,
        choices=[(30, _("30 days")), (90, _("90 days")), (365, _("A year"))],
    )

    def __init__(self, *args: Any, held: Iterable[Permission], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mine = set(held)
        choices = [(wanted.value, words) for wanted, words in TOKEN_PERMISSIONS.items() if wanted in mine]
        permissions = self.fields["permissions"]
        assert isinstance(permissions, forms.MultipleChoiceField)  # noqa: S101 - declared above
        permissions.choices = choices
