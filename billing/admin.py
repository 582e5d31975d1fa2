"""Staff pages of money: bills, rules, pools, months, invoices, books, payments. Rows of money are read-only.

What moves an invoice is an act with a page of its own: it shows the figures and wants the total typed before anything
moves, and calls the function that every other edge calls.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from billing import admin_books as admin_books  # noqa: PLC0414 - registers the pages of the books
from billing import (  # noqa: F401 - registers their pages  # noqa: F401 - registers their pages
    admin_card_disputes,
    admin_credit_proposals,
    admin_invoicing,
    admin_paying,
    admin_processor,
    invoicing,
)
from billing import admin_credit as admin_credit  # noqa: PLC0414 - registers its pages
from billing import admin_deliveries as admin_deliveries  # noqa: PLC0414 - registers its pages
from billing import admin_disputes as admin_disputes  # noqa: PLC0414 - registers its pages
from billing import admin_promises as admin_promises  # noqa: PLC0414 - registers its pages
from billing.admin_write_offs import WRITE_OFF_ACT
from billing.crediting import CREDITABLE
from billing.models import (
    BillingAccount,
    BillingPeriod,
    CostRow,
    FxRate,
    Invoice,
    InvoiceLine,
    InvoiceLineTax,
    LedgerAccount,
    LedgerEntry,
    LedgerLeg,
    NumberSeries,
    PeriodBasis,
    Pool,
    Share,
)
from billing.order_taking import order_for
from consortium.kernel.clock import now
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.formats import money_text
from consortium.kernel.money import AmountInvalid, parse_amount
from consortium.kernel.periods import local_date
from members.admin_inlines import ReadOnlyInline
from members.models import User
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin, StaffAdmin


class TotalForm(forms.Form):
    """The total, typed: who moves money has read it."""

    total = forms.CharField(label="Type the total, such as 1234.50", max_length=40)


class TotalMismatch(Invalid):
    """What was typed is not the invoice's total."""

    code = "total_mismatch"


def check_total(row: Invoice, total: str) -> None:
    """Raise TotalMismatch unless the total was typed exactly."""
    try:
        typed: Decimal | None = parse_amount(total.strip(), currency=row.currency)
    except AmountInvalid:
        typed = None
    if typed != row.total:
        raise TotalMismatch(f"The invoice's total is {row.total} {row.currency}.", field="total")


def act_approve(row: Invoice, *, total: str, by: User, at: datetime) -> object:
    """Approve what was read."""
    check_total(row, total)
    return invoicing.approve_invoice(row, by=by, at=at)


def act_issue(row: Invoice, *, total: str, by: User, at: datetime) -> object:
    """Issue what was read."""
    check_total(row, total)
    return invoicing.issue_invoice(row, by=by, at=at)


def act_discard(row: Invoice, *, by: User, at: datetime) -> object:
    """Throw a draft away."""
    return invoicing.discard_invoice(row, by=by, at=at)


def preview_invoice(row: Invoice) -> list[tuple[str, object]]:
    """The invoice in figures."""

    def shown(amount: Decimal) -> str:
        return money_text(amount, row.currency, language="en", code=True)

    lines = [(line.description_en, shown(line.net)) for line in InvoiceLine.objects.filter(invoice=row)]
    return [
        ("Payer", row.billing_account),
        ("Month", row.period.month),
        ("Purchase order", row.po_number or _order_to_be(row)),
        *lines,
        ("Net", shown(row.net_total)),
        ("Tax", shown(row.tax_total)),
        ("Total", shown(row.total)),
    ]


def _order_to_be(row: Invoice) -> str:
    """The purchase order that an approval now would take."""
    try:
        order = order_for(row.billing_account, total=row.total, on=local_date(now(), row.issuer.zone))
    except PortalError as error:
        return error.message
    return order.number if order else "none"


class LineInline(ReadOnlyInline):
    """The lines."""

    model = InvoiceLine
    fields = ("position", "kind", "description_en", "quantity", "unit", "unit_price", "net", "currency", "evidence")


class LineTaxInline(ReadOnlyInline):
    """The tax decisions."""

    model = InvoiceLineTax
    fields = ("line", "tax", "jurisdiction", "rate", "basis", "amount", "reason", "ground", "registration")


@admin.register(Invoice)
class InvoiceAdmin(ActingAdmin):
    """Invoices, with what may be done to them."""

    list_display = ["__str__", "institution", "period", "status", "total", "currency", "issued_at", "due_on"]
    list_filter = ["status", "period__month", "currency", "issuer"]
    search_fields = ["number", "institution__name_en", "po_number"]
    list_select_related = ["institution", "period"]
    date_hierarchy = "issued_at"
    inlines = [LineInline, LineTaxInline]
    acts = (
        Act(
            name="approve",
            label="Approve",
            explain="The draft may be issued. From a certain total on, another person than its author approves it.",
            form=TotalForm,
            run=act_approve,
            states=("draft",),
            permission=Permission.ISSUE_INVOICES,
            preview=preview_invoice,
        ),
        Act(
            name="issue",
            label="Issue",
            explain="It gets its number, is posted, mailed to the payer, and never changes again.",
            form=TotalForm,
            run=act_issue,
            states=("approved",),
            permission=Permission.ISSUE_INVOICES,
            preview=preview_invoice,
        ),
        Act(
            name="discard",
            label="Discard",
            explain="The draft is thrown away; its month may draft another one.",
            form=forms.Form,
            run=act_discard,
            states=("draft", "approved"),
            permission=Permission.ISSUE_INVOICES,
            preview=preview_invoice,
            danger=True,
        ),
        Act(
            name="credit",
            label="Credit",
            explain="Take back some or all of it by a credit note.",
            form=forms.Form,
            run=act_discard,
            states=CREDITABLE,
            permission=Permission.ISSUE_INVOICES,
        ),
        WRITE_OFF_ACT,
    )

    def act_page(self, request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
        """Crediting asks for each line: it has a page of its own."""
        if name == "credit":
            return redirect("admin:billing_credit", pk)
        return super().act_page(request, pk, name)


@admin.register(BillingAccount)
class BillingAccountAdmin(StaffAdmin):
    """Payers."""

    editor = Permission.CLOSE_MONTH
    list_display = ["name", "institution", "currency", "province", "po_required", "po_number", "ended_at"]
    list_filter = ["currency", "po_required", "province", "issuer"]
    search_fields = ["name", "institution__name_en"]
    list_select_related = ["institution"]


@admin.register(CostRow)
class CostRowAdmin(StaffAdmin):
    """The rows of bills, and why they went where they went."""

    list_display = [
        "bill", "line", "billed_cost", "currency", "charge_category", "service_name", "destination", "institution",
        "pool_key", "because",
    ]  # fmt: skip
    list_filter = ["destination", "charge_category", "pool_key", "bill__charged_month"]
    search_fields = ["service_name", "resource_id", "sub_account_id"]
    list_select_related = ["bill", "institution"]
    show_full_result_count = False


class ShareInline(ReadOnlyInline):
    """Who bears what."""

    model = Share
    fields = ("institution", "weight", "exact", "amount", "currency")


@admin.register(Pool)
class PoolAdmin(StaffAdmin):
    """Shared cost, exact, converted, rounded, split, or parked with the reason."""

    list_display = [
        "key", "period", "run", "exact_total", "bill_currency", "fx_rate", "rounded_total", "currency", "method",
        "basis", "basis_month", "parked_reason",
    ]  # fmt: skip
    list_filter = ["period__month", "key", ("parked_reason", admin.EmptyFieldListFilter)]
    list_select_related = ["period", "fx_rate"]
    inlines = [ShareInline]


class BasisInline(ReadOnlyInline):
    """The use that was frozen."""

    model = PeriodBasis
    fields = ("run", "institution", "server_seconds", "memory_gib_seconds", "active_users", "gap_seconds")


@admin.register(BillingPeriod)
class BillingPeriodAdmin(StaffAdmin):
    """Months."""

    list_display = ["month", "issuer", "status", "closed_early", "run", "closed_at"]
    list_filter = ["status", "issuer"]
    inlines = [BasisInline]


@admin.register(FxRate)
class FxRateAdmin(StaffAdmin):
    """Rates and their sources; recorded by billing.fx, never changed."""

    list_display = ["on", "base", "quote", "rate", "source"]
    list_filter = ["base", "quote"]
    date_hierarchy = "on"


@admin.register(NumberSeries)
class NumberSeriesAdmin(StaffAdmin):
    """Counters."""

    list_display = ["prefix", "next", "issuer"]


class LegInline(ReadOnlyInline):
    """Debits above zero, credits below."""

    model = LedgerLeg
    fields = ("account", "amount", "currency")


@admin.register(LedgerEntry)
class LedgerEntryAdmin(StaffAdmin):
    """The journal."""

    list_display = ["on", "kind", "narration", "institution", "leg_count", "posted_at"]
    list_filter = ["kind", "issuer"]
    search_fields = ["narration"]
    list_select_related = ["institution"]
    date_hierarchy = "on"
    inlines = [LegInline]


@admin.register(LedgerAccount)
class LedgerAccountAdmin(StaffAdmin):
    """The chart of accounts."""

    list_display = ["code", "kind", "name_en", "name_fr", "issuer"]
    list_filter = ["kind", "issuer"]
