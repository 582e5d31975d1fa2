"""Forms of the pay page beside paying; they read single values, the rules live in billing.disputes and .questions."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from consortium.kernel.money import AmountInvalid, parse_amount

LONG = 5_000


class WriterForm(forms.Form):
    """Who writes, and where the answer goes."""

    name = forms.CharField(label=_("Your name"), max_length=200)
    email = forms.EmailField(label=_("Your e-mail address"), help_text=_("Our answer goes there."))


class QuestionForm(WriterForm):
    """A question about the invoice."""

    text = forms.CharField(label=_("Your question"), max_length=LONG, widget=forms.Textarea(attrs={"rows": 5}))
    field_order = ("text", "name", "email")


class ShareForm(forms.Form):
    """The colleague's address."""

    email = forms.EmailField(label=_("Your colleague’s e-mail address"))


class DisputeForm(WriterForm):
    """How much of a line is disputed, before tax, and why."""

    net = forms.CharField(label=_("Disputed amount before tax"), max_length=40)
    text = forms.CharField(
        label=_("What is wrong with this line?"), max_length=LONG, widget=forms.Textarea(attrs={"rows": 5})
    )
    field_order = ("net", "text", "name", "email")

    def __init__(self, *args: Any, currency: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency = currency

    def clean_net(self) -> Any:
        """Read the amount exactly."""
        try:
            return parse_amount(self.cleaned_data["net"].strip(), currency=self.currency)
        except AmountInvalid as error:
            raise forms.ValidationError(error.message) from None


class ReplyForm(forms.Form):
    """What the payer adds to a dispute."""

    text = forms.CharField(label=_("Your answer"), max_length=LONG, widget=forms.Textarea(attrs={"rows": 5}))
