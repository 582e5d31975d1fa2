"""Building the frozen copy of an invoice at issue: parties, bank, lines, taxes, rates, as they are at that instant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from billing.models import Invoice, InvoiceLine, InvoiceLineTax, TaxCertificate
from billing.snapshot import (
    BankPart,
    InvoiceSnapshot,
    IssuerPart,
    LinePart,
    PayerPart,
    SharePart,
    StepPart,
    TaxPart,
)
from consortium.kernel.money import exact_sum
from members.models import BankDetails, TaxRegistration


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """What issuing adds to a draft: number, instant, and days in the issuer's zone."""

    number: str
    at: datetime
    issued_on: date
    due_on: date


class Frozen:
    """What the copies of several invoices of one issuer are made of, read once as it is on their day of issue."""

    def __init__(self, invoices: Sequence[Invoice], *, on: date) -> None:
        issuer = invoices[0].issuer
        accounts = [invoice.billing_account_id for invoice in invoices]
        registered = TaxRegistration.objects.filter(issuer=issuer, tax="GST", valid__contains=on).first()
        vats = TaxCertificate.objects.filter(billing_account__in=accounts, kind="vat_number", valid__contains=on)
        banks = BankDetails.objects.filter(issuer=issuer, valid__contains=on)
        self.tax_number = registered.number if registered else ""
        self.vats = {row.billing_account_id: row.number for row in vats}
        self.banks = {row.currency: row for row in banks}
        self.lines: dict[UUID, list[InvoiceLine]] = {invoice.pk: [] for invoice in invoices}
        rows = InvoiceLine.objects.filter(invoice__in=invoices).prefetch_related("taxes")
        for line in rows.order_by("position"):
            self.lines[line.invoice_id].append(line)


def build_snapshot(invoice: Invoice, issue: Issue, frozen: Frozen) -> InvoiceSnapshot:
    """Will return the snapshot of an approved invoice. Raises SnapshotError when its figures do not agree."""
    lines = frozen.lines[invoice.pk]
    return InvoiceSnapshot(
        number=issue.number,
        kind=invoice.kind,
        language=invoice.language,
        currency=invoice.currency,
        issued_at=issue.at,
        issued_on=issue.issued_on,
        due_on=issue.due_on,
        month=invoice.period.month,
        period_start=invoice.period_start,
        period_end=invoice.period_end,
        zone=invoice.zone,
        po_number=invoice.po_number,
        issuer=_issuer(invoice, frozen),
        payer=_payer(invoice, frozen),
        bank=_bank(invoice, frozen),
        lines=tuple(_line(line) for line in lines),
        taxes=_totals(tax for line in lines for tax in line.taxes.all()),
        net_total=invoice.net_total,
        tax_total=invoice.tax_total,
        total=invoice.total,
    )


def _issuer(invoice: Invoice, frozen: Frozen) -> IssuerPart:
    issuer = invoice.issuer
    return IssuerPart(
        name_en=issuer.name_en,
        name_fr=issuer.name_fr,
        address=issuer.address,
        country=issuer.country,
        email=issuer.email,
        zone=issuer.zone,
        tax_number=frozen.tax_number,
    )


def _payer(invoice: Invoice, frozen: Frozen) -> PayerPart:
    account, institution = invoice.billing_account, invoice.institution
    return PayerPart(
        institution_slug=institution.slug,
        institution_en=institution.name_en,
        institution_fr=institution.name_fr,
        name=account.name,
        address=account.address,
        province=account.province,
        country=account.country,
        email=account.email,
        cost_centre=account.cost_centre,
        vat_number=frozen.vats.get(account.pk, ""),
    )


def _bank(invoice: Invoice, frozen: Frozen) -> BankPart | None:
    row = frozen.banks.get(invoice.currency)
    if row is None:
        return None
    return BankPart(
        bank=row.bank,
        holder=row.holder,
        account_number=row.account_number,
        routing=row.routing,
        currency=row.currency,
    )


def _line(line: InvoiceLine) -> LinePart:
    share = line.evidence.get("share")
    return LinePart(
        position=line.position,
        kind=line.kind,
        description_en=line.description_en,
        description_fr=line.description_fr,
        quantity=line.quantity,
        unit=line.unit,
        unit_price=line.unit_price,
        net=line.net,
        po_number=line.po_number,
        fx_rate=line.fx_rate,
        fx_currency=line.fx_currency,
        fx_source=line.fx_source,
        taxes=tuple(_tax(tax) for tax in _ordered(line.taxes.all())),
        steps=tuple(StepPart.model_validate(step) for step in line.evidence.get("steps", ())),
        share=SharePart.model_validate(share) if share else None,
    )


def _tax(tax: InvoiceLineTax) -> TaxPart:
    return TaxPart(
        jurisdiction=tax.jurisdiction,
        tax=tax.tax,
        rate=tax.rate,
        basis=tax.basis,
        amount=tax.amount,
        reason=tax.reason,
        reason_en=tax.reason_en,
        reason_fr=tax.reason_fr,
        registration=tax.registration,
    )


def _ordered(taxes: Iterable[InvoiceLineTax]) -> list[InvoiceLineTax]:
    """GST or HST first, then the province's own tax."""
    return sorted(taxes, key=lambda tax: (tax.tax not in {"GST", "HST"}, tax.jurisdiction, tax.tax, tax.reason))


def _totals(taxes: Iterable[InvoiceLineTax]) -> tuple[TaxPart, ...]:
    """Sum the lines' taxes to one part per tax, rate and reason."""
    groups: dict[tuple[str, str, str, str], list[InvoiceLineTax]] = {}
    for tax in _ordered(taxes):
        groups.setdefault((tax.jurisdiction, tax.tax, str(tax.rate), tax.reason), []).append(tax)
    return tuple(
        _tax(group[0]).model_copy(
            update={
                "basis": exact_sum(each.basis for each in group),
                "amount": exact_sum(each.amount for each in group),
            }
        )
        for group in groups.values()
    )
