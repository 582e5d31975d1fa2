"""Writing drafts: a composed invoice becomes rows that may still be discarded, and nothing else."""

from datetime import datetime

from django.db.models import Q

from billing.drafting import Draft, DraftLine
from billing.models import BillingAccount, BillingPeriod, Invoice, InvoiceLine, InvoiceLineTax
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.periods import Period
from members.models import User


def live_regular(account: BillingAccount, period: Period) -> Invoice | None:
    """Return the account's regular invoice that overlaps the period, unless it is void or discarded."""
    return (
        Invoice.objects.filter(
            ~Q(status__in=["void", "discarded"]),
            billing_account=account,
            kind="regular",
            period_start__lt=period.end,
            period_end__gt=period.start,
        )
        .select_related("billing_account", "issuer", "institution", "period")
        .first()
    )


def write_draft(
    period: BillingPeriod, account: BillingAccount, draft: Draft, *, by: User | System, at: datetime
) -> Invoice:
    """Write a draft with its lines and taxes; the purchase order is copied from the account."""
    invoice = Invoice.objects.create(
        institution_id=draft.institution_id,
        billing_account=account,
        issuer=period.issuer,
        period=period,
        period_start=draft.period.start,
        period_end=draft.period.end,
        zone=draft.zone,
        currency=draft.currency,
        language=account.language,
        po_number=account.po_number,
        net_total=draft.net,
        tax_total=draft.tax,
        total=draft.total,
        created_at=at,
        drafted_by=None if isinstance(by, System) else by,
    )
    lines = InvoiceLine.objects.bulk_create(
        _line(invoice, position, line) for position, line in enumerate(draft.lines, start=1)
    )
    InvoiceLineTax.objects.bulk_create(
        tax for row, line in zip(lines, draft.lines, strict=True) for tax in _taxes(invoice, row, line)
    )
    after: dict[str, Fact] = {
        "total": draft.total,
        "currency": draft.currency,
        "lines": len(lines),
        "period": period.month,
    }
    audit.record("billing.invoice_drafted", invoice, by=by, at=at, institution_id=draft.institution_id, after=after)
    return invoice


def _line(invoice: Invoice, position: int, line: DraftLine) -> InvoiceLine:
    return InvoiceLine(
        institution_id=invoice.institution_id,
        invoice=invoice,
        position=position,
        kind=line.kind,
        description_en=line.description_en[:300],
        description_fr=line.description_fr[:300],
        quantity=line.quantity,
        unit=line.unit,
        unit_price=line.unit_price,
        net=line.net,
        currency=invoice.currency,
        fx_rate=line.fx.rate if line.fx else None,  # type: ignore[misc]  # the kernel types its field as never null
        fx_currency=line.fx.currency if line.fx else "",
        fx_source=f"{line.fx.source}, {line.fx.on}"[:200] if line.fx else "",
        po_number=invoice.po_number,
        source_type=line.source_type,
        source_id=line.source_id,
        evidence=line.evidence,
    )


def _taxes(invoice: Invoice, row: InvoiceLine, line: DraftLine) -> list[InvoiceLineTax]:
    return [
        InvoiceLineTax(
            institution_id=invoice.institution_id,
            line=row,
            invoice=invoice,
            jurisdiction=tax.decision.jurisdiction,
            tax=str(tax.decision.tax),
            rate=tax.decision.rate,
            basis=tax.basis,
            amount=tax.amount,
            currency=invoice.currency,
            reason=tax.decision.code,
            reason_en=tax.decision.reason_en,
            reason_fr=tax.decision.reason_fr,
            ground=tax.decision.basis[:300],
            registration=tax.registration,
        )
        for tax in line.taxes
    ]
