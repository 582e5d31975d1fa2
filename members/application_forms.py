"""Forms of applying: one for each section of the application, and the one for a university that is not in the list."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from babel import Locale
from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from stdnum.ca import bn

from consortium.kernel.geography import PROVINCES, province_name
from members.access import PUBLIC_MAIL
from members.answers import (
    ADMINISTRATORS_AT_MOST,
    ANSWERS,
    DOMAINS_AT_MOST,
    SECTIONS,
    SIGN_ON_WITH_ID,
    Section,
)
from members.application_words import HINTS, LABELS, ROLE_WORDS
from members.directory import ror_id
from members.models import Application
from members.nominees import ROLES
from members.roles import Role

if TYPE_CHECKING:
    ApplicationModelForm = forms.ModelForm[Application]
else:  # generic to the type checker alone
    ApplicationModelForm = forms.ModelForm

LONG: Final = 5_000
PEOPLE_AT_MOST: Final = 1_000_000
_DOMAIN: Final = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_POSTAL: Final = re.compile(r"[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z] ?\d[ABCEGHJ-NPRSTV-Z]\d")
_SEPARATORS: Final = re.compile(r"[\s,'’]")

SHOWN: Final = 2  # administrators that are on the page at once
ROWS: Mapping[str, int] = {"address": 3, "finance_address": 3, "purpose": 5}


class CountField(forms.IntegerField):
    """How many people: written with or without separators of thousands."""

    def to_python(self, value: Any) -> int | None:
        """Read "22,000" and "22 000" as people write them."""
        text = _SEPARATORS.sub("", value) if isinstance(value, str) else value
        if isinstance(text, str) and text and not (text.isascii() and text.isdigit() and len(text) < 10):
            raise ValidationError(_("Write a whole number, such as 22,000."))
        number: int | None = super().to_python(text)
        return number


class DomainsField(forms.CharField):
    """E-mail domains, one on each line; cleaned into a list of small letters without doubles."""

    def prepare_value(self, value: Any) -> Any:
        """Show a list as lines, and what was typed as it was typed."""
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        """Read the lines. Raises ValidationError, which names the first that is no domain."""
        text: str = super().clean(value)
        found = [word.strip(".").removeprefix("@").lower() for word in re.split(r"[\s,;]+", text) if word]
        if len(found) > DOMAINS_AT_MOST:
            raise ValidationError(_("Name at most %(count)d domains.") % {"count": DOMAINS_AT_MOST})
        return list(dict.fromkeys(_domain(word) for word in found))


def _domain(word: str) -> str:
    try:
        domain = word.encode("idna").decode("ascii")
    except UnicodeError:
        domain = ""
    if not _DOMAIN.fullmatch(domain):
        raise ValidationError(
            _("“%(domain)s” is not a domain. Write it like ubc.ca, without https:// or @.") % {"domain": word[:100]}
        )
    if domain in PUBLIC_MAIL:
        raise ValidationError(
            _("%(domain)s gives addresses to everybody. Name domains of your university only.") % {"domain": domain}
        )
    return domain


def countries() -> list[tuple[str, str]]:
    """Will return the countries in the language of the page, Canada first."""
    names = Locale.parse((get_language() or "en")[:2]).territories
    known = [(code, name) for code, name in names.items() if re.fullmatch(r"[A-Z]{2}", code) and code not in _NOT_ONE]
    return sorted(known, key=lambda each: (each[0] != "CA", each[1]))


_NOT_ONE: Final = frozenset({"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"})


def provinces() -> list[tuple[str, str]]:
    """Will return the provinces and territories in the language of the page, after an empty choice."""
    language = get_language() or "en"
    return [("", _("Choose"))] + [(code, province_name(code, language=language)) for code in PROVINCES]


def sign_on_choices() -> list[tuple[str, Any]]:
    """Will return the ways to sign in."""
    return [
        ("federation", _("Through a federation: CILogon or eduGAIN (CAF)")),
        ("saml", _("By our own SAML identity provider")),
        ("oidc", _("By our own OpenID Connect provider")),
        ("none", _("Not decided yet")),
    ]


class ApplicationForm(ApplicationModelForm):
    """The questions of one section, or of all. With `complete` false, gaps are allowed: a draft is being saved."""

    class Meta:
        model = Application
        fields = tuple(name for name in ANSWERS if name not in ("administrators", "email_domains"))
        labels = LABELS
        help_texts = HINTS

    email_domains = DomainsField(
        label=LABELS["email_domains"],
        help_text=HINTS["email_domains"],
        max_length=LONG,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(
        self, data: Any = None, *, instance: Application, section: Section | None = None, complete: bool = True
    ) -> None:
        # The form writes to a copy: what is kept is decided by save_application.
        super().__init__(data, instance=copy.copy(instance))
        self.section = section
        self._shape()
        for name in [name for name in self.fields if section is not None and name not in section.fields]:
            del self.fields[name]
        self.order_fields(section.fields if section else ANSWERS)
        self.initial["email_domains"] = instance.email_domains
        self._suggest(instance)
        self.require(complete=complete)

    def _shape(self) -> None:
        for name, rows in ROWS.items():
            self.fields[name] = forms.CharField(
                label=LABELS[name],
                help_text=HINTS.get(name, ""),
                max_length=LONG,
                widget=forms.Textarea(attrs={"rows": rows}),
            )
        for name in ("fte", "staff_fte"):
            # A number input forgets what is no number; what was typed must stay to be mended.
            self.fields[name] = CountField(
                label=LABELS[name],
                help_text=HINTS.get(name, ""),
                min_value=1,
                max_value=PEOPLE_AT_MOST,
                widget=forms.TextInput(attrs={"inputmode": "numeric", "maxlength": "15"}),
            )
        currencies = [("CAD", _("Canadian dollars (CAD)")), ("USD", _("US dollars (USD)"))]
        for name, choices in (("currency", currencies), ("country", countries()), ("province", provinces())):
            self.fields[name] = forms.ChoiceField(label=LABELS[name], help_text=HINTS.get(name, ""), choices=choices)
        self.fields["sign_on"] = forms.ChoiceField(
            label=LABELS["sign_on"], choices=sign_on_choices(), widget=forms.RadioSelect
        )

    def _suggest(self, application: Application) -> None:
        """Propose what the directory knows already, where nothing is written yet."""
        institution = application.institution
        known = {
            "city": institution.city,
            "province": institution.province,
            "email_domains": [institution.domain] if institution.domain else [],
        }
        for name, value in known.items():
            if name in self.fields and not getattr(application, name):
                self.initial[name] = value

    def require(self, *, complete: bool) -> None:
        """Demand every needed answer, or none."""
        for section in SECTIONS:
            for name in section.fields:
                if name in self.fields:
                    self.fields[name].required = complete and (name in section.required or self._is_needed(name))
        self.complete = complete

    def _is_needed(self, name: str) -> bool:
        """A province, where the address is in Canada."""
        return name == "province" and self._is_canadian()

    def _is_canadian(self) -> bool:
        country: str = self.data.get("country", self.instance.country)
        return country == "CA"

    def clean_tax_number(self) -> str:
        """Check a Canadian business number by its own check digit."""
        text: str = self.cleaned_data["tax_number"]
        if text and self._is_canadian() and not bn.is_valid(text):
            raise ValidationError(
                _("This is not a Canadian business number. It has nine digits, or nine digits and RT0001.")
            )
        return text

    def clean_postal_code(self) -> str:
        """Check a Canadian code by its form, and write it as the post does."""
        text = " ".join(str(self.cleaned_data["postal_code"]).upper().split())
        if text and self._is_canadian():
            if not _POSTAL.fullmatch(text):
                raise ValidationError(_("A Canadian postal code looks like V8W 2Y2."))
            text = f"{text[:3]} {text[-3:]}"
        return text

    def clean(self) -> dict[str, Any]:
        """Ask for what follows from another answer."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.complete and cleaned.get("sign_on") in SIGN_ON_WITH_ID and not cleaned.get("sign_on_id", "-"):
            self.add_error("sign_on_id", _("Write the entity id or the issuer address of your provider."))
        return cleaned

    def values(self) -> dict[str, Any]:
        """Will return what was understood; what was not is among the errors."""
        return {name: value for name, value in self.cleaned_data.items() if name in self.fields}


class AdministratorsForm(forms.Form):
    """Up to five people. An empty row is nobody; with `complete` at least one is needed."""

    def __init__(self, data: Any = None, *, instance: Application, complete: bool = True) -> None:
        known = instance.administrators or [
            {"name": instance.applicant.name, "email": instance.applicant.email, "role": Role.OWNER.value}
        ]
        initial = {f"person_{i}_{key}": each[key] for i, each in enumerate(known, 1) for key in each}
        super().__init__(data, initial=initial)
        self.complete = complete
        for i in range(1, ADMINISTRATORS_AT_MOST + 1):
            needed = complete and i == 1
            self.fields[f"person_{i}_name"] = forms.CharField(label=_("Name"), max_length=200, required=needed)
            self.fields[f"person_{i}_email"] = forms.EmailField(label=_("E-mail address"), required=needed)
            self.fields[f"person_{i}_role"] = forms.ChoiceField(
                label=_("Role"),
                choices=[(role.value, ROLE_WORDS[role]) for role in ROLES],
                required=needed,
                initial=Role.OWNER.value,
            )

    def require(self, *, complete: bool) -> None:
        """Say on the page which fields a complete section needs."""
        for name in ("person_1_name", "person_1_email", "person_1_role"):
            self.fields[name].required = complete

    def people(self) -> Iterator[tuple[int, list[BoundField]]]:
        """Will return the fields of each person."""
        for i in range(1, ADMINISTRATORS_AT_MOST + 1):
            yield i, [self[f"person_{i}_{key}"] for key in ("name", "email", "role")]

    def first_people(self) -> list[tuple[int, list[BoundField]]]:
        """Will return the fields of those who are always shown."""
        return list(self.people())[:SHOWN]

    def more_people(self) -> list[tuple[int, list[BoundField]]]:
        """Will return the fields of those who are shown when they are wanted."""
        return list(self.people())[SHOWN:]

    def has_more(self) -> bool:
        """Will tell whether one of those is written already, or in error."""
        return any(bound.value() or bound.errors for _number, fields in self.more_people() for bound in fields[:2])

    def clean(self) -> dict[str, Any]:
        """Refuse half a person, and the same person twice."""
        cleaned = self.cleaned_data
        seen: set[str] = set()
        for i in range(1, ADMINISTRATORS_AT_MOST + 1):
            name, email = cleaned.get(f"person_{i}_name"), cleaned.get(f"person_{i}_email")
            if name and email == "":
                self.add_error(f"person_{i}_email", _("Write the e-mail address of %(name)s.") % {"name": name})
            if email and name == "":
                self.add_error(f"person_{i}_name", _("Write the name that belongs to %(email)s.") % {"email": email})
            if email and email.lower() in seen:
                self.add_error(f"person_{i}_email", _("Two administrators have the same e-mail address."))
            seen.add((email or "").lower())
        return cleaned

    def values(self) -> dict[str, Any]:
        """Will return the people as the application keeps them; nothing while a row is in error."""
        if self.errors:
            return {}
        rows = [
            {key: self.cleaned_data[f"person_{i}_{key}"] for key in ("name", "email", "role")}
            for i in range(1, ADMINISTRATORS_AT_MOST + 1)
        ]
        return {
            "administrators": [
                {**row, "email": row["email"].lower(), "role": row["role"] or Role.OWNER.value}
                for row in rows
                if row["email"]
            ]
        }


SectionForm = ApplicationForm | AdministratorsForm


def section_form(application: Application, section: Section, data: Any = None, *, complete: bool = True) -> SectionForm:
    """Will return the form of a section, with what is written already and what `data` says."""
    if section.key == "administrators":
        return AdministratorsForm(data, instance=application, complete=complete)
    return ApplicationForm(data, instance=application, section=section, complete=complete)


class UnlistedForm(forms.Form):
    """A university that is not in the shipped list."""

    name_en = forms.CharField(label=lazy("Name in English"), max_length=200, help_text=lazy("Or in its only language."))
    name_fr = forms.CharField(label=lazy("Name in French"), max_length=200, required=False)
    city = forms.CharField(label=lazy("City"), max_length=100)
    country = forms.ChoiceField(label=LABELS["country"], initial="CA")
    province = forms.ChoiceField(label=LABELS["province"], required=False, help_text=lazy("In Canada only."))
    domain = forms.CharField(
        label=lazy("Domain of its web site and e-mail"), max_length=200, help_text=lazy("For example ubc.ca.")
    )
    ror = forms.CharField(
        label=lazy("ROR id"),
        max_length=60,
        required=False,
        help_text=lazy("Of the Research Organization Registry, for example https://ror.org/03rmrcq20, if you know it."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in (("country", countries()), ("province", provinces())):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
            field.choices = choices

    def clean(self) -> dict[str, Any]:
        """Ask for the province in Canada, and keep none elsewhere."""
        found: dict[str, Any] = super().clean() or self.cleaned_data
        if found.get("country") == "CA" and not found.get("province"):
            self.add_error("province", _("Choose the province."))
        elif found.get("country") != "CA":
            found["province"] = ""
        return found

    def clean_domain(self) -> str:
        """Read a domain, also out of the address of a web site."""
        text: str = self.cleaned_data["domain"].lower()
        return _domain(re.sub(r"^(https?://)?(www\.)?", "", text).split("/")[0])

    def clean_ror(self) -> str:
        """Read an id, also out of its web address. Its last two digits check the others."""
        text: str = self.cleaned_data["ror"]
        found = ror_id(text)
        if text and not found:
            raise ValidationError(_("This is not a ROR id. It has nine characters, such as 03rmrcq20."))
        return found
