"""An issued invoice, made by hand, for tests of documents and payments: its figures are those of a small university."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from billing.chart_of_accounts import Account
from billing.models import BillingAccount, BillingPeriod, Invoice, InvoiceBalance, InvoiceLine, InvoiceLineTax, Payment
from billing.receiving import receive
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
from billing.states import INVOICE
from consortium.kernel.audit import System
from consortium.kernel.money import EXACT, exact_sum, multiply, round_money
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Institution
from tests.cast import Cast

CLAUSES = {
    "reason": "charged",
    "reason_en": "GST at 5%: the place of supply is British Columbia.",
    "reason_fr": "TPS de 5\N{NO-BREAK SPACE}%\N{NO-BREAK SPACE}: le lieu de fourniture est Colombie-Britannique.",
}
ISSUER = IssuerPart(
    name_en="Interactive Computing Consortium",
    name_fr="Consortium de calcul interactif",
    address="1 Example Street\nVancouver BC  V6B 1A1",
    email="billing@consortium.example",
    zone="America/Vancouver",
)
PAYER = PayerPart(
    institution_slug="cedar",
    institution_en="Cedar University",
    institution_fr="Université Cedar",
    name="Cedar University, Accounts Payable",
    address="200 Campus Road\nSomewhere BC  V1V 1V1",
    province="BC",
    email="payables@cedar.example",
    cost_centre="41-2200",
)
BANK = BankPart(
    bank="Example Credit Union",
    holder="Interactive Computing Consortium",
    account_number="000 123 456 789",
    routing="Transit 00010, institution 809",
    currency="CAD",
)


def gst(net: Decimal) -> TaxPart:
    """Five percent, as one tax of a line."""
    amount = round_money(multiply(net, Decimal("0.05")), "CAD")
    return TaxPart(
        jurisdiction="CA",
        tax="GST",
        rate=Decimal(5),
        basis=net,
        amount=amount,
        registration="12345 6789 RT0001",
        **CLAUSES,
    )


def lines() -> tuple[LinePart, ...]:
    """Dues, users by slab, and a share of the common cost."""
    dues, users, shared = Decimal("1041.67"), Decimal("1000.00"), Decimal("213.48")
    return (
        LinePart(
            position=1,
            kind="dues",
            description_en="Membership dues, medium tier, one twelfth of a year",
            description_fr="Cotisation, palier moyen, un douzième de l’année",
            quantity=Decimal(1),
            unit="month",
            unit_price=dues,
            net=dues,
            taxes=(gst(dues),),
        ),
        LinePart(
            position=2,
            kind="active_users",
            description_en="Monthly active users",
            description_fr="Utilisateurs actifs du mois",
            quantity=Decimal(280),
            unit="user",
            unit_price=Decimal("3.571429"),
            net=users,
            taxes=(gst(users),),
            steps=(
                StepPart(
                    label_en="First 10 users", label_fr="Les 10 premiers", quantity=Decimal(10), unit="user",
                    unit_price=Decimal("10.00"), amount=Decimal("100.00"),
                ),
                StepPart(
                    label_en="Users 11 to 100", label_fr="Du 11e au 100e", quantity=Decimal(90), unit="user",
                    unit_price=Decimal("5.00"), amount=Decimal("450.00"),
                ),
                StepPart(
                    label_en="Users 101 to 1,000", label_fr="Du 101e au 1 000e", quantity=Decimal(180), unit="user",
                    unit_price=Decimal("2.50"), amount=Decimal("450.00"),
                ),
            ),
        ),
        LinePart(
            position=3,
            kind="shared_cost",
            description_en="Share of common cloud cost, pool “shared”",
            description_fr="Part des coûts infonuagiques communs, lot « shared »",
            quantity=Decimal(1),
            unit="share",
            unit_price=shared,
            net=shared,
            fx_rate=Decimal("1.3905"),
            fx_currency="USD",
            fx_source="Bank of Canada",
            taxes=(gst(shared),),
            share=SharePart(
                pool="shared",
                bill_month="2026-09",
                bill_currency="USD",
                exact_total=Decimal("1204.77921934992"),
                rounded_total=Decimal("1675.25"),
                currency="CAD",
                fx_rate=Decimal("1.3905"),
                fx_source="Bank of Canada",
                fx_on=date(2026, 9, 30),
                method="proportional",
                basis="memory_hours",
                basis_month="2026-09",
                weight=Decimal("15288.75"),
                total_weight=Decimal("119974.5"),
                members=9,
                amount=shared,
            ),
        ),
    )  # fmt: skip


def snapshot(*, number: str = "ICC-2026-0007", language: str = "en", **changes: Any) -> InvoiceSnapshot:
    """The invoice of September 2026; `changes` replace fields of it."""
    parts = changes.pop("lines", lines())
    net = exact_sum(line.net for line in parts)
    tax = exact_sum(tax.amount for line in parts for tax in line.taxes)
    whole = gst(net).model_copy(update={"amount": tax})
    values: dict[str, Any] = {
        "number": number,
        "language": language,
        "currency": "CAD",
        "issued_at": datetime(2026, 10, 2, 17, 0, tzinfo=UTC),
        "issued_on": date(2026, 10, 2),
        "due_on": date(2026, 11, 1),
        "month": "2026-09",
        "period_start": datetime(2026, 9, 1, 7, 0, tzinfo=UTC),
        "period_end": datetime(2026, 10, 1, 7, 0, tzinfo=UTC),
        "zone": "America/Vancouver",
        "po_number": "PO-88121",
        "issuer": ISSUER,
        "payer": PAYER,
        "bank": BANK,
        "lines": parts,
        "taxes": (whole,) if tax else (),
        "net_total": net,
        "tax_total": tax,
        "total": EXACT.add(net, tax),
    }
    return InvoiceSnapshot(**values | changes)


def make_invoice(
    cast: Cast,
    *,
    number: str = "ICC-2026-0007",
    institution: Institution | None = None,
    language: str = "en",
    evidence: Mapping[int, dict[str, Any]] | None = None,
) -> Invoice:
    """The same invoice as rows: drafted, approved, issued, with its balance; `evidence` by line. Opens its scope."""
    frozen = snapshot(number=number, language=language)
    at = frozen.issued_at
    place = institution or cast.university
    with consortium_scope(Scope.COMMAND):
        account, _ = BillingAccount.objects.get_or_create(
            institution=place,
            issuer=cast.issuer,
            name=frozen.payer.name,
            defaults={
                "address": frozen.payer.address,
                "province": "BC",
                "email": frozen.payer.email,
                "currency": "CAD",
                "language": language,
                "created_at": at,
            },
        )
        period, _ = BillingPeriod.objects.get_or_create(issuer=cast.issuer, month=frozen.month)
        invoice = Invoice.objects.create(
            institution=place,
            billing_account=account,
            issuer=cast.issuer,
            period=period,
            kind="extra",
            period_start=frozen.period_start,
            period_end=frozen.period_end,
            currency="CAD",
            language=language,
            po_number=frozen.po_number,
            net_total=frozen.net_total,
            tax_total=frozen.tax_total,
            total=frozen.total,
            created_at=at,
        )
        for part in frozen.lines:
            _make_line(invoice, part, (evidence or {}).get(part.position, {}))
        INVOICE.move(invoice, "approved")
        INVOICE.move(invoice, "issued", number=number, issued_at=at, due_on=frozen.due_on, snapshot=frozen.to_json())
        InvoiceBalance.objects.create(invoice=invoice, institution=place, total=frozen.total, currency="CAD")
    return invoice


def _make_line(invoice: Invoice, part: LinePart, evidence: dict[str, Any]) -> None:
    line = InvoiceLine.objects.create(
        institution_id=invoice.institution_id,
        invoice=invoice,
        position=part.position,
        kind=part.kind,
        description_en=part.description_en,
        description_fr=part.description_fr,
        quantity=part.quantity,
        unit=part.unit,
        unit_price=part.unit_price,
        net=part.net,
        currency="CAD",
        evidence=evidence,
    )
    for tax in part.taxes:
        InvoiceLineTax.objects.create(
            institution_id=invoice.institution_id,
            line=line,
            invoice=invoice,
            jurisdiction=tax.jurisdiction,
            tax=tax.tax,
            rate=tax.rate,
            basis=tax.basis,
            amount=tax.amount,
            currency="CAD",
            reason=tax.reason,
            reason_en=tax.reason_en,
            reason_fr=tax.reason_fr,
        )


def pay(invoice: Invoice, amount: str, *, at: datetime, fee: str = "0") -> Payment:
    """Let a transfer of that amount arrive for the invoice. Needs a consortium scope."""
    payment = Payment.objects.create(
        institution_id=invoice.institution_id, invoice=invoice, provider="bank", amount=Decimal(amount),
        currency="CAD", idempotency_key=f"test:{Payment.objects.count():03}", created_at=at,
    )  # fmt: skip
    receive(payment, amount=Decimal(amount), fee=Decimal(fee), arrives=Account.BANK, by=System("bank"), at=at)
    return payment
