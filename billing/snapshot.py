"""What an invoice says, frozen at issue: the only source of its PDF, and of every page that shows an issued invoice.

`issue_invoice` builds an `InvoiceSnapshot` and stores `snapshot.to_json()` in `Invoice.snapshot`; readers call
`InvoiceSnapshot.from_json(invoice.snapshot)`. Amounts travel as plain decimal text, days as ISO dates, instants in UTC.
Words come in both languages, so that a document can be written in either without another look at the database.
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from consortium.kernel.errors import PortalError
from consortium.kernel.language import bilingual
from consortium.kernel.money import exact_sum, parse_amount, plain


def _exact(value: object) -> Decimal:
    return value if isinstance(value, Decimal) and value.is_finite() else parse_amount(value)


Amount = Annotated[Decimal, BeforeValidator(_exact), PlainSerializer(plain, return_type=str)]


class SnapshotError(PortalError):
    """The figures of a snapshot do not agree with each other; nothing may be issued or printed from it."""

    code = "snapshot_wrong"
    status = 500


class Part(BaseModel):
    """A frozen part that knows no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def word(self, field: str, language: str) -> str:
        """Will return `field` in the language, in English where French is missing."""
        return bilingual(self, field, language)


class IssuerPart(Part):
    """Who invoices."""

    name_en: str
    name_fr: str = ""
    address: str
    country: str = "CA"
    email: str
    zone: str
    tax_number: str = ""  # at its own tax office


class PayerPart(Part):
    """Who pays: the billing account, and the institution behind it."""

    institution_slug: str
    institution_en: str
    institution_fr: str = ""
    name: str
    address: str
    province: str = ""
    country: str = "CA"
    email: str
    cost_centre: str = ""
    vat_number: str = ""


class BankPart(Part):
    """Where a transfer goes."""

    bank: str
    holder: str
    account_number: str
    routing: str
    currency: str


class TaxPart(Part):
    """One tax, of a line or of the whole invoice: what is charged on what, and why. `rate` is in percent."""

    jurisdiction: str
    tax: str
    rate: Amount
    basis: Amount
    amount: Amount
    reason: str
    reason_en: str
    reason_fr: str
    registration: str = ""


class StepPart(Part):
    """One step of how a line's amount came about, such as a slab of active users: quantity times price."""

    label_en: str
    label_fr: str = ""
    quantity: Amount | None = None
    unit: str = ""
    unit_price: Amount | None = None
    amount: Amount


class SharePart(Part):
    """How a shared pool became this member's line. `weight` of `total_weight` in units of `basis`."""

    pool: str
    bill_month: str
    bill_currency: str
    exact_total: Amount
    rounded_total: Amount
    currency: str
    fx_rate: Amount | None = None
    fx_source: str = ""
    fx_on: date | None = None
    method: str
    basis: str = ""
    basis_month: str
    weight: Amount
    total_weight: Amount
    members: int
    exact: str = ""
    amount: Amount


class LinePart(Part):
    """One line: quantity times unit price is `net`; `kind` is InvoiceLine.kind."""

    position: int
    kind: str
    description_en: str
    description_fr: str
    quantity: Amount
    unit: str = ""
    unit_price: Amount
    net: Amount
    po_number: str = ""
    fx_rate: Amount | None = None
    fx_currency: str = ""
    fx_source: str = ""
    taxes: tuple[TaxPart, ...] = ()
    steps: tuple[StepPart, ...] = ()
    share: SharePart | None = None


class InvoiceSnapshot(Part):
    """An issued invoice, whole. `due_on` and `issued_on` are days in the issuer's zone, the period is half-open."""

    version: Literal[1] = 1
    number: str
    kind: str = "regular"
    language: str
    currency: str
    issued_at: datetime
    issued_on: date
    due_on: date
    month: str
    period_start: datetime
    period_end: datetime
    zone: str
    po_number: str = ""
    issuer: IssuerPart
    payer: PayerPart
    bank: BankPart | None = None
    lines: tuple[LinePart, ...]
    taxes: tuple[TaxPart, ...] = ()
    net_total: Amount
    tax_total: Amount
    total: Amount

    def model_post_init(self, _context: Any) -> None:
        """Refuse figures that do not add up: lines to the net, taxes to the tax, both to the total."""
        sums = {
            "lines": (exact_sum(line.net for line in self.lines), self.net_total),
            "taxes of the lines": (exact_sum(tax.amount for line in self.lines for tax in line.taxes), self.tax_total),
            "taxes": (exact_sum(tax.amount for tax in self.taxes), self.tax_total),
            "net and tax": (exact_sum((self.net_total, self.tax_total)), self.total),
        }
        for what, (found, said) in sums.items():
            if found != said:
                raise SnapshotError(f"Invoice {self.number}: the {what} sum to {found}, its totals say {said}.")

    def checked(self) -> Self:
        """Will return the same after all checks: `model_copy` makes none. Raises SnapshotError."""
        return type(self).from_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Will return what the column `Invoice.snapshot` keeps."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Will read the column again. Raises pydantic's ValidationError, SnapshotError."""
        return cls.model_validate(stored)
