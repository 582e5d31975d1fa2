"""The vendor pack: what a university's purchasing department asks of a new supplier, on one page, as of a day."""

from dataclasses import dataclass
from datetime import date, datetime

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from billing.documents import words
from billing.documents.invoice import Fact
from consortium.kernel.language import bilingual
from consortium.kernel.pdf import write_pdf
from consortium.kernel.periods import local_date
from members.models import BankDetails, Issuer, TaxRegistration

SHEET = "documents/document.css"


@dataclass(frozen=True, kw_only=True)
class Dated:
    """A row of a table: what, its number, and since when and until when it holds, as text."""

    label: str
    number: str
    since: str
    until: str


@dataclass(frozen=True, kw_only=True)
class IssuerName:
    """The issuer's name where the frame of every document looks for it."""

    name: str


@dataclass(frozen=True, kw_only=True)
class VendorPackPage:
    """All of a vendor pack, as text."""

    language: str
    number: str
    created: datetime
    on: str
    issuer: IssuerName
    facts: tuple[Fact, ...]
    registrations: tuple[Dated, ...]
    banks: tuple[tuple[Fact, ...], ...]


def vendor_pack_pdf(issuer: Issuer, *, language: str, at: datetime) -> bytes:
    """Will write the vendor pack of an issuer as of that instant, in one language."""
    with translation.override(language):
        page = vendor_pack_page(issuer, at=at)
        html = render_to_string("documents/vendor_pack.html", {"page": page, "demo": settings.DEMO})
    return write_pdf(html, sheet=SHEET)


def vendor_pack_page(issuer: Issuer, *, at: datetime) -> VendorPackPage:
    """Will gather the pack in the active language."""
    language, on = words.language(), local_date(at, issuer.zone)
    name = bilingual(issuer, "name", language)
    address = ", ".join(issuer.address.splitlines())
    return VendorPackPage(
        language=language,
        number=issuer.slug,
        created=at,
        on=words.day(on),
        issuer=IssuerName(name=name),
        facts=(
            Fact(label=_("Legal name"), value=name),
            Fact(label=_("Address"), value=address),
            Fact(label=_("Country"), value=issuer.country),
            Fact(label=_("E-mail for invoices"), value=issuer.email),
            Fact(label=_("Currency"), value=issuer.currency),
            Fact(label=_("Electronic invoices"), value=_("UBL 2.1; Factur-X (EN 16931) for buyers in Europe")),
        ),
        registrations=tuple(
            Dated(
                label=f"{words.tax_name(row.tax)} ({row.jurisdiction})",
                number=row.number,
                since=_day(row.valid.lower),
                until=_day(row.valid.upper),
            )
            for row in TaxRegistration.objects.filter(issuer=issuer, valid__contains=on).order_by("jurisdiction", "tax")
        ),
        banks=tuple(
            (
                Fact(label=_("Currency"), value=row.currency),
                Fact(label=_("Payee"), value=row.holder),
                Fact(label=_("Bank"), value=row.bank),
                Fact(label=_("Account"), value=row.account_number),
                Fact(label=_("Routing"), value=row.routing),
                Fact(label=_("Valid since"), value=_day(row.valid.lower)),
            )
            for row in BankDetails.objects.filter(issuer=issuer, valid__contains=on).order_by("currency")
        ),
    )


def _day(value: date | None) -> str:
    return words.day(value) if value else "–"
