"""The form in which a university asks for a hub."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Protocol

from django import forms
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _
from pydantic import TypeAdapter, ValidationError

from consortium.kernel.formats import number_text
from provisioning.models import Environment
from provisioning.specs import UserName
from provisioning.wishes import HubWish

GIB = 1024**3
# What is offered, smallest first; an agreement with a lower limit shortens the list.
MEMORY_CHOICES = (GIB // 2, GIB, 2 * GIB, 4 * GIB, 8 * GIB)
USUAL = "standard"
MAX_ACCOUNTS = 50
_NAME = TypeAdapter[str](UserName)


class Limits(Protocol):
    """What the form must know of an entitlement (members.entitlements.Entitlements has it)."""

    @property
    def memory_limit_bytes(self) -> int:
        """The most memory that one server may have."""

    @property
    def max_servers(self) -> int:
        """How many servers may run at once."""


class HubRequestForm(forms.Form):
    """What a university says of the hub it wants; `wish()` returns it once the form is valid.

    `environments` are the catalogue's entries on offer; `entitlement` bounds memory and servers where it is given.
    """

    name = forms.CharField(
        label=gettext_lazy("Name of the hub"),
        help_text=gettext_lazy("As people will know it, for example “Statistics 2026”."),
        max_length=100,
    )
    purpose = forms.CharField(
        label=gettext_lazy("What it is for"),
        help_text=gettext_lazy("Courses, workshops or research groups, in a sentence or two."),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    environment = forms.ChoiceField(label=gettext_lazy("Environment"), widget=forms.RadioSelect)
    memory = forms.TypedChoiceField(
        label=gettext_lazy("Memory of one server"),
        help_text=gettext_lazy("The most that one person's server may use. Half of it is guaranteed."),
        coerce=int,
    )
    max_servers = forms.IntegerField(
        label=gettext_lazy("Servers at once"),
        help_text=gettext_lazy("How many people can work at the same time."),
        min_value=1,
        initial=25,
    )
    expected_users = forms.IntegerField(
        label=gettext_lazy("People you expect"),
        help_text=gettext_lazy("In a busy month, all courses together."),
        min_value=1,
        max_value=1_000_000,
        initial=100,
    )
    accounts = forms.CharField(
        label=gettext_lazy("Sign-in names for the trial"),
        help_text=gettext_lazy("One to a line. Lower-case letters, digits, dots and hyphens; the first administers."),
        widget=forms.Textarea(attrs={"rows": 4, "autocapitalize": "none", "spellcheck": "false"}),
    )
    staging = forms.BooleanField(
        label=gettext_lazy("With a staging hub"),
        help_text=gettext_lazy("A twin on which changes are tried first. It counts as one of your agreement's hubs."),
        required=False,
    )

    def __init__(
        self,
        *args: Any,
        environments: Iterable[Environment],
        entitlement: Limits | None = None,
        may_pair: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not may_pair:
            del self.fields["staging"]
        self.environments = list(environments)
        offered = [(row.key, row.name) for row in self.environments]
        self._choices("environment", offered)
        limit = entitlement.memory_limit_bytes if entitlement else MEMORY_CHOICES[-1]
        within = [size for size in MEMORY_CHOICES if size <= limit] or [limit]
        self._choices("memory", [(str(size), memory_text(size)) for size in within])
        self.memory_limit_text = memory_text(limit)
        keys = [key for key, _name in offered]
        self.initial.setdefault("environment", USUAL if USUAL in keys else next(iter(keys), None))
        self.initial.setdefault("memory", str(GIB if GIB in within else within[0]))
        if entitlement is not None:
            self._cap_servers(entitlement.max_servers)

    def clean_accounts(self) -> list[str]:
        """Read the names in their order, each once."""
        names = list(dict.fromkeys(word for word in re.split(r"[\s,;]+", self.cleaned_data["accounts"]) if word))
        if not names:
            raise forms.ValidationError(_("Name at least one person who may sign in."))
        if len(names) > MAX_ACCOUNTS:
            text = _("Name at most %(most)d people; a university's own sign-on comes with its own setting.")
            raise forms.ValidationError(text % {"most": MAX_ACCOUNTS})
        for name in names:
            try:
                _NAME.validate_python(name)
            except ValidationError:
                text = _("“%(name)s” cannot be a sign-in name: use lower-case letters, digits, dots and hyphens.")
                raise forms.ValidationError(text % {"name": name}) from None
        return names

    def wish(self) -> HubWish:
        """Return what the valid form asks for."""
        asked = self.cleaned_data
        return HubWish(
            name=asked["name"].strip(),
            purpose=asked["purpose"].strip(),
            environment=asked["environment"],
            memory_bytes=asked["memory"],
            max_servers=asked["max_servers"],
            expected_users=asked["expected_users"],
            users=frozenset(asked["accounts"]),
            admins=frozenset(asked["accounts"][:1]),
            staging=asked.get("staging", False),
        )

    def _choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
        field.choices = choices

    def _cap_servers(self, most: int) -> None:
        text = ngettext(
            "How many people can work at the same time. Your agreement covers %(most)d server.",
            "How many people can work at the same time. Your agreement covers %(most)d servers.",
            most,
        )
        field = self.fields["max_servers"]
        field.help_text = text % {"most": most}
        field.widget.attrs["max"] = most
        self.initial.setdefault("max_servers", min(25, most))


def memory_text(size: int) -> str:
    """Will write an amount of memory, given in bytes, in GiB and the reader's language."""
    count = Decimal(size) / GIB
    digits = None if count == count.to_integral_value() else 1
    return _("%(count)s GiB") % {"count": number_text(count, language=get_language() or "en", digits=digits)}
