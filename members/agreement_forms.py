"""Forms of the agreement's pages; the rules live in the functions that the views call."""

from django import forms
from django.utils.translation import gettext_lazy as _

from members.forms import SignForm
from members.models.people import LANGUAGE_CHOICES

LONG = 5_000


class DelegateSignForm(SignForm):
    """A delegate's signature: the address to which the link was sent, too."""

    email = forms.CharField(
        label=_("Your e-mail address"), max_length=254, help_text=_("The one at which you received the link.")
    )


class DelegateForm(forms.Form):
    """Who signs in an owner's place."""

    name = forms.CharField(label=_("Name of the delegate"), max_length=200)
    email = forms.EmailField(label=_("E-mail address of the delegate"), max_length=254)
    language = forms.ChoiceField(label=_("Language of the delegate"), choices=LANGUAGE_CHOICES)


class WishForm(forms.Form):
    """What should change, or a remark."""

    text = forms.CharField(label=_("What should change, and why"), max_length=LONG, widget=forms.Textarea)


class NoticeForm(forms.Form):
    """The last day of an agreement, and why."""

    last_day = forms.DateField(
        label=_("Last day of the agreement"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    reason = forms.CharField(label=_("Reason"), max_length=LONG, widget=forms.Textarea)


class NoticeWithdrawalForm(forms.Form):
    """Why a notice is taken back."""

    reason = forms.CharField(label=_("Reason"), max_length=LONG, required=False, widget=forms.Textarea)


class VerifyForm(forms.Form):
    """A document to check, or its hash; one of them."""

    document = forms.FileField(
        label=_("The PDF"),
        required=False,
        allow_empty_file=True,
        help_text=_("At most 10 MB. It is not kept; only its hash is compared."),
    )
    sha256 = forms.CharField(
        label=_("Or its SHA-256"), required=False, max_length=200, help_text=_("64 digits and letters a to f.")
    )
