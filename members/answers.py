"""What an application asks, in sections: which answers belong together, which are needed, how far each section is.

Pure: it reads an application's attributes and never the database.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

ADMINISTRATORS_AT_MOST: Final = 5
DOMAINS_AT_MOST: Final = 20
SIGN_ON_WITH_ID: Final = frozenset({"federation", "oidc", "saml"})


class Progress(StrEnum):
    """How far a section is."""

    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    DONE = "done"


@dataclass(frozen=True)
class Section:
    """A page of questions; `optional` names those of `fields` that may stay empty."""

    key: str
    fields: tuple[str, ...]
    optional: frozenset[str] = frozenset()

    @property
    def required(self) -> tuple[str, ...]:
        """The answers that a complete section has, in the order of the page."""
        return tuple(name for name in self.fields if name not in self.optional)


SECTIONS: Final = (
    Section(
        "identity",
        (
            "legal_name",
            "legal_name_fr",
            "address",
            "city",
            "province",
            "postal_code",
            "country",
            "tax_number",
            "registration_number",
        ),
        frozenset({"legal_name_fr", "province", "tax_number", "registration_number"}),
    ),
    Section("size", ("fte", "staff_fte")),
    Section("signatory", ("signatory_name", "signatory_title", "signatory_email")),
    Section("administrators", ("administrators",)),
    Section(
        "invoices",
        ("finance_email", "finance_address", "po_required", "currency", "language"),
        frozenset({"finance_address", "po_required"}),
    ),
    Section(
        "contacts",
        ("technical_name", "technical_email", "privacy_name", "privacy_email"),
        frozenset({"technical_name", "privacy_name"}),
    ),
    Section("sign_on", ("email_domains", "sign_on", "sign_on_id"), frozenset({"sign_on_id"})),
    Section("use", ("purpose",)),
)
ANSWERS: Final = tuple(name for section in SECTIONS for name in section.fields)
REQUIRED: Final = tuple(name for section in SECTIONS for name in section.required)

# What a new draft has of itself: it does not count as begun.
_GIVEN: Final[Mapping[str, object]] = {"country": "CA", "currency": "CAD", "po_required": False}
_EMPTY: Final[tuple[object, ...]] = ("", None, [])


def section_of(key: str) -> Section | None:
    """Will return the section of that key, None where there is none."""
    return next((section for section in SECTIONS if section.key == key), None)


def missing_in(application: Any, section: Section) -> tuple[str, ...]:
    """Will name the needed answers of a section that are still empty, in the order of the page."""
    needed = list(section.required)
    if "sign_on" in section.fields and application.sign_on in SIGN_ON_WITH_ID:
        needed.append("sign_on_id")
    # Invoices to Canada are taxed by the province they go to.
    if "province" in section.fields and application.country == "CA":
        needed.append("province")
    return tuple(name for name in section.fields if name in needed and getattr(application, name) in _EMPTY)


def missing_answers(application: Any) -> tuple[str, ...]:
    """Will name every needed answer that is still empty, in the order of the sections."""
    return tuple(name for section in SECTIONS for name in missing_in(application, section))


def progress_of(application: Any, section: Section) -> Progress:
    """Will tell how far a section is: done when nothing that it needs is missing."""
    if not missing_in(application, section):
        return Progress.DONE
    values = {name: getattr(application, name) for name in section.fields if name != "language"}
    begun = any(value not in _EMPTY and value != _GIVEN.get(name) for name, value in values.items())
    return Progress.IN_PROGRESS if begun else Progress.NOT_STARTED


def postal_address(application: Any) -> str:
    """Will write the address as an envelope has it, one line each: street, place, country where it is not Canada."""
    place = " ".join(filter(None, [application.city, application.province]))
    lines = [application.address.strip(), f"{place}  {application.postal_code}".strip()]
    if application.country not in ("", "CA"):
        lines.append(application.country)
    return "\n".join(filter(None, lines))
