"""The words of an application: its sections, its questions with their hints, its roles. Lazy translations."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as lazy

from members.roles import Role

SECTION_WORDS: Mapping[str, tuple[Any, Any]] = {
    "identity": (lazy("The university"), lazy("Its legal names, its address, its tax and registration numbers.")),
    "size": (lazy("Size"), lazy("Students and staff, and the dues that follow from them.")),
    "signatory": (lazy("Who signs"), lazy("Who may sign the service agreement for the university.")),
    "administrators": (lazy("Who administers"), lazy("Who will administer the membership here.")),
    "invoices": (lazy("Invoices"), lazy("Where invoices go, in which currency and language.")),
    "contacts": (lazy("Contacts"), lazy("Whom we write to about technical and privacy matters.")),
    "sign_on": (lazy("Domains and sign-on"), lazy("Your e-mail domains, and how your people sign in.")),
    "use": (lazy("Intended use"), lazy("What the hubs will be used for.")),
}
LABELS: Mapping[str, Any] = {
    "legal_name": lazy("Legal name of the university"),
    "legal_name_fr": lazy("Legal name in French"),
    "address": lazy("Street address"),
    "city": lazy("City"),
    "province": lazy("Province or territory"),
    "postal_code": lazy("Postal code"),
    "country": lazy("Country"),
    "tax_number": lazy("Business number"),
    "registration_number": lazy("Registration number"),
    "fte": lazy("Students (full-time equivalent)"),
    "staff_fte": lazy("Staff (full-time equivalent)"),
    "signatory_name": lazy("Who signs the agreement: name"),
    "signatory_title": lazy("Who signs the agreement: title"),
    "signatory_email": lazy("Who signs the agreement: e-mail"),
    "finance_email": lazy("E-mail of accounts payable"),
    "finance_address": lazy("Postal address for invoices"),
    "technical_name": lazy("Technical contact"),
    "technical_email": lazy("E-mail of the technical contact"),
    "privacy_name": lazy("Privacy contact"),
    "privacy_email": lazy("E-mail of the privacy office"),
    "email_domains": lazy("E-mail domains of the university"),
    "sign_on": lazy("How your people shall sign in"),
    "sign_on_id": lazy("Entity id or issuer address"),
    "purpose": lazy("What the hubs will be used for"),
    "po_required": lazy("Our invoices need a purchase order"),
    "currency": lazy("Currency of the invoices"),
    "language": lazy("Language of the agreement and the invoices"),
}
HINTS: Mapping[str, Any] = {
    "legal_name": lazy("As it stands in the charter or act, in English or in its only language."),
    "legal_name_fr": lazy("Where the charter or act has one."),
    "province": lazy("Needed in Canada: it decides the sales taxes."),
    "tax_number": lazy("Of the Canada Revenue Agency, if you have one: nine digits, with or without RT0001."),
    "registration_number": lazy("Of a charity or corporation, if you have one."),
    "fte": lazy("It decides the tier of the dues."),
    "signatory_title": lazy("For example Vice-President, Information Technology."),
    "finance_email": lazy("Invoices go here."),
    "finance_address": lazy("If it is not the address of the university."),
    "email_domains": lazy("One on each line, for example ubc.ca. People with these addresses will belong to you."),
    "sign_on_id": lazy("For example https://idp.example.ca/shibboleth. Needed unless you have not decided."),
    "purpose": lazy("Courses, research, workshops: a few sentences."),
}
ROLE_WORDS: Mapping[Role, Any] = {
    Role.OWNER: lazy("Owner: everything, people and signatures too"),
    Role.FINANCE: lazy("Finance: costs and invoices"),
    Role.TECHNICAL: lazy("Technical: hubs, use and tokens"),
}
