"""Forms of people: an invitation, a role, an offer of ownership, one's own name and language."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from members.models import User
from members.models.people import LANGUAGE_CHOICES
from members.roles import Role

ROLE_CHOICES = (
    (Role.OWNER.value, _("Owner: everything, people and signatures too")),
    (Role.FINANCE.value, _("Finance: costs and invoices")),
    (Role.TECHNICAL.value, _("Technical: hubs, use and tokens")),
    (Role.VIEWER.value, _("Viewer: hubs only")),
)


class InviteForm(forms.Form):
    """Who is invited to which role, in which language we write."""

    email = forms.EmailField(
        label=_("E-mail address"),
        help_text=_("The person accepts with this address, by a link that works for seven days."),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    role = forms.ChoiceField(label=_("Role"), widget=forms.RadioSelect, choices=ROLE_CHOICES)
    language = forms.ChoiceField(label=_("Language of the mail"), choices=LANGUAGE_CHOICES)


class RoleForm(forms.Form):
    """Another role for a person who has one."""

    role = forms.ChoiceField(label=_("Role"), widget=forms.RadioSelect, choices=ROLE_CHOICES)


class OwnershipForm(forms.Form):
    """Who shall own, and what the giver stays."""

    person = forms.ChoiceField(label=_("To whom"))
    keeps_role = forms.ChoiceField(
        label=_("Your role afterwards"),
        required=False,
        choices=[*ROLE_CHOICES[1:], ("", _("None: you leave"))],
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, people: Iterable[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        person = self.fields["person"]
        assert isinstance(person, forms.ChoiceField)  # noqa: S101 - declared above
        person.choices = [(str(each.pk), f"{each} ({each.email})") for each in people]


class ProfileForm(forms.Form):
    """How a person is called, and in which language we write to them."""

    name = forms.CharField(
        label=_("Your name"),
        max_length=200,
        help_text=_("Colleagues and the consortium see it."),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    language = forms.ChoiceField(label=_("Language of mail"), choices=LANGUAGE_CHOICES)
