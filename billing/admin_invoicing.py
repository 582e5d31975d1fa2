"""Staff pages of what stands around invoices: credit notes, purchase orders, charges, prepaid credit, certificates."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from psycopg.types.range import DateRange

from billing.credit_proposals import propose_credit
from billing.crediting import CREDITABLE, CreditPlan, issue_credit_note, left_of, needs_second, plan_credit
from billing.member_charges import Charge, cancel_charge, record_charge
from billing.models import (
    BillingAccount,
    CreditNote,
    CreditNoteLine,
    CreditNoteTax,
    Invoice,
    InvoiceLine,
    MemberCharge,
    Prepaid,
    PrepaidUse,
    PurchaseOrder,
    PurchaseOrderLine,
    PurchaseOrderUse,
    TaxCertificate,
)
from billing.models.member_charges import KINDS
from billing.prepaid import record_prepaid
from billing.purchase_orders import close_order
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.formats import money_text
from consortium.kernel.money import AmountInvalid, parse_amount, plain
from members.admin_inlines import ReadOnlyInline
from members.forms import show_refusal
from members.models import Institution, Issuer, User
from members.permissions import Permission
from members.recording_admin import RecordingAdmin
from members.staff_admin import StaffAdmin, held_by


def acting(request: HttpRequest, permission: Permission) -> User:
    """The member of staff who asks, if the role allows it. Raises PermissionDenied."""
    if permission not in held_by(request) or not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


class CreditForm(forms.Form):
    """What is taken back of each line, why, and, after the preview, the total."""

    reason = forms.CharField(label="Reason, which the member reads", max_length=300)

    def __init__(self, *args: Any, invoice: Invoice, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invoice, self.left = invoice, left_of(invoice)
        self.lines = {line.pk: line for line in InvoiceLine.objects.filter(invoice=invoice).order_by("position")}
        for key, line in self.lines.items():
            self.fields[f"line_{line.position}"] = forms.CharField(
                label=f"{line.position}. {line.description_en} ({plain(line.net)})",
                help_text=f"At most {plain(self.left[key])} {invoice.currency}, before tax",
                initial=plain(self.left[key]),
                required=False,
                max_length=40,
            )

    def clean(self) -> dict[str, Any]:
        """Read the amounts; an empty one takes nothing back."""
        found: dict[str, Any] = super().clean() or self.cleaned_data
        nets: dict[UUID, Decimal] = {}
        for key, line in self.lines.items():
            name = f"line_{line.position}"
            text = (found.get(name) or "").strip()
            try:
                nets[key] = parse_amount(text, currency=self.invoice.currency) if text else Decimal(0)
            except AmountInvalid as error:
                self.add_error(name, error.message)
        found["nets"] = nets
        return found


@admin.register(CreditNote)
class CreditNoteAdmin(StaffAdmin):
    """Credit notes; a new one begins on its invoice's page, a large one waits for a second person first."""

    list_display = ["number", "invoice", "institution", "issued_on", "total", "currency", "applied", "held", "reason"]
    list_filter = ["currency", "issuer"]
    search_fields = ["number", "invoice__number", "institution__name_en"]
    list_select_related = ["invoice", "institution"]
    date_hierarchy = "issued_on"

    class Lines(ReadOnlyInline):
        """What was taken back of each line."""

        model = CreditNoteLine
        fields = ("invoice_line", "net")

    class Taxes(ReadOnlyInline):
        """What was taken back of each tax."""

        model = CreditNoteTax
        fields = ("line_tax", "amount")

    inlines = [Lines, Taxes]

    def get_urls(self) -> list[URLPattern]:
        """Add the page on which an invoice is credited."""
        page = self.admin_site.admin_view(self.credit)
        return [path("new/<uuid:invoice>/", page, name="billing_credit"), *super().get_urls()]

    def credit(self, request: HttpRequest, invoice: UUID) -> HttpResponse:
        """Ask what is taken back, show the credit note to the cent, issue it when its total was typed."""
        by = acting(request, Permission.ISSUE_INVOICES)
        row = get_object_or_404(Invoice.objects.select_related("institution", "balance"), pk=invoice)
        if row.status not in CREDITABLE:
            self.message_user(request, f"{row} is {row.status}: it cannot be credited.", messages.ERROR)
            return redirect("admin:billing_invoice_change", row.pk)
        form = CreditForm(request.POST if request.method == "POST" else None, invoice=row)
        plan: CreditPlan | None = None
        if request.method == "POST" and form.is_valid():
            try:
                plan = plan_credit(row, form.cleaned_data["nets"])
                typed = request.POST.get("total", "").strip()
                if typed and typed != plain(plan.total):
                    form.add_error(None, f"The credit comes to {plain(plan.total)} {row.currency}. Type exactly that.")
                elif typed:
                    return self._let_out(request, row, plan, form.cleaned_data, by=by)
            except PortalError as error:
                show_refusal(form, error)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Credit on invoice {row.number}",
            "invoice": row,
            "form": form,
            "preview": shown(plan, row) if plan else [],
            "large": plan is not None and needs_second(row, plan),
            "back": reverse("admin:billing_invoice_change", args=[row.pk]),
        }
        return render(request, "billing/admin/credit.html", context, status=422 if form.errors else 200)

    def _let_out(
        self, request: HttpRequest, row: Invoice, plan: CreditPlan, wanted: dict[str, Any], *, by: User
    ) -> HttpResponse:
        """Issue the credit note, or put a large one before a second person. Raises PortalError."""
        words = {"nets": wanted["nets"], "reason": wanted["reason"], "by": by, "at": now()}
        if needs_second(row, plan):
            proposal = propose_credit(row, **words)
            said = "The credit waits for another person, who approves or withdraws it here."
            self.message_user(request, said, messages.SUCCESS)
            return redirect("admin:billing_creditproposal_change", proposal.pk)
        note = issue_credit_note(row, **words)
        self.message_user(request, f"Credit note {note.number} is issued.", messages.SUCCESS)
        return redirect("admin:billing_creditnote_change", note.pk)


def shown(plan: CreditPlan, invoice: Invoice) -> list[tuple[str, str]]:
    """A planned credit note in figures."""

    def money(amount: Decimal) -> str:
        return money_text(amount, invoice.currency, language="en", code=True)

    lines = [(each.line.description_en, money(each.net)) for each in plan.lines]
    return [*lines, ("Net", money(plan.net)), ("Tax", money(plan.tax)), ("Credited", money(plan.total))]


@admin.register(PurchaseOrder)
class PurchaseOrderAdmin(StaffAdmin):
    """Purchase orders; members record them on their own page."""

    list_display = ["number", "billing_account", "valid", "amount", "currency", "closed_at", "asked_at"]
    list_filter = ["currency", ("closed_at", admin.EmptyFieldListFilter)]
    search_fields = ["number", "billing_account__name"]
    list_select_related = ["billing_account"]
    actions = ["close"]

    class Lines(ReadOnlyInline):
        """As the member wrote them."""

        model = PurchaseOrderLine
        fields = ("position", "description", "amount")

    class Uses(ReadOnlyInline):
        """What invoices took, and credit notes gave back."""

        model = PurchaseOrderUse
        fields = ("invoice", "credit_note", "amount", "on")

    inlines = [Lines, Uses]

    @admin.action(description="Take no more invoices on these", permissions=["view"])
    def close(self, request: HttpRequest, queryset: Any) -> None:
        """Close the chosen orders."""
        by = acting(request, Permission.CLOSE_MONTH)
        for order in queryset:
            close_order(order, by=by, at=now())


class ChargeForm(forms.Form):
    """A charge, or a credit, for the invoice of a month."""

    institution = forms.ModelChoiceField(queryset=Institution.objects.order_by("slug"))
    issuer = forms.ModelChoiceField(queryset=Issuer.objects.order_by("slug"))
    month = forms.RegexField(r"^20\d\d-(0[1-9]|1[0-2])$", label="Month, as 2026-11")
    kind = forms.ChoiceField(choices=[(kind, kind) for kind in KINDS])
    description_en = forms.CharField(label="In English", max_length=250)
    description_fr = forms.CharField(label="In French", max_length=250)
    quantity = forms.CharField(initial="1", max_length=20)
    unit = forms.CharField(required=False, max_length=20, help_text="Such as hour or user")
    unit_price = forms.CharField(label="Unit price; below zero for a credit", max_length=30)
    currency = forms.CharField(initial="CAD", max_length=3)
    source_id = forms.UUIDField(label="Key of what it is about", help_text="The same is charged once.")

    def clean(self) -> dict[str, Any]:
        """Read the figures exactly."""
        found: dict[str, Any] = super().clean() or self.cleaned_data
        for name in ("quantity", "unit_price"):
            try:
                found[name] = parse_amount((found.get(name) or "").strip())
            except AmountInvalid as error:
                self.add_error(name, error.message)
        return found


@admin.register(MemberCharge)
class MemberChargeAdmin(RecordingAdmin):
    """Support, events, service credits and adjustments."""

    editor = Permission.CLOSE_MONTH
    form_class = ChargeForm
    list_display = ["month", "institution", "kind", "description_en", "net", "currency", "recorded_at", "cancelled_at"]
    list_filter = ["kind", "month", ("cancelled_at", admin.EmptyFieldListFilter)]
    list_select_related = ["institution"]
    actions = ["cancel"]

    def record(self, *, by: User, **wanted: Any) -> Any:
        """Record a charge that staff found."""
        names = (
            "kind", "description_en", "description_fr", "quantity", "unit", "unit_price", "currency", "source_id",
        )  # fmt: skip
        return record_charge(
            institution=wanted["institution"],
            issuer=wanted["issuer"],
            month=wanted["month"],
            charge=Charge(source_type="by hand", **{name: wanted[name] for name in names}),
            by=by,
            at=now(),
        )

    @admin.action(description="Cancel before the month is closed", permissions=["view"])
    def cancel(self, request: HttpRequest, queryset: Any) -> None:
        """Take the chosen charges back; those of a closed month are named."""
        by = acting(request, Permission.CLOSE_MONTH)
        for charge in queryset.select_related("issuer"):
            try:
                cancel_charge(charge, by=by, at=now())
            except PortalError as error:
                self.message_user(request, f"{charge}: {error.message}", messages.WARNING)


class PrepaidForm(forms.Form):
    """Money that arrived in advance."""

    account = forms.ModelChoiceField(queryset=BillingAccount.objects.order_by("name"))
    amount = forms.CharField(max_length=30)
    reference = forms.CharField(label="The bank's reference", max_length=100)
    received_on = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}), initial=date.today)

    def clean_amount(self) -> Decimal:
        """Read the amount exactly."""
        try:
            return parse_amount(self.cleaned_data["amount"].strip())
        except AmountInvalid as error:
            raise forms.ValidationError(error.message) from error


@admin.register(Prepaid)
class PrepaidAdmin(RecordingAdmin):
    """Prepaid credit."""

    editor = Permission.CLOSE_MONTH
    form_class = PrepaidForm
    list_display = ["received_on", "billing_account", "amount", "currency", "reference"]
    list_select_related = ["billing_account"]

    def record(self, *, by: User, **wanted: Any) -> Any:
        """Record what arrived."""
        return record_prepaid(wanted.pop("account"), **wanted, by=by, at=now())


@admin.register(PrepaidUse)
class PrepaidUseAdmin(StaffAdmin):
    """What invoices took of it."""

    list_display = ["invoice", "billing_account", "amount", "currency"]
    list_select_related = ["invoice", "billing_account"]


class CertificateForm(forms.ModelForm):  # type: ignore[type-arg] # generic to the type checker alone
    """A proof with its validity; the institution is its payer's."""

    first_day = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))
    last_day = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}), required=False)

    class Meta:
        model = TaxCertificate
        fields = ("billing_account", "kind", "number", "source")

    def save(self, commit: bool = True) -> Any:
        """Put the days together."""
        last = self.cleaned_data["last_day"]
        self.instance.valid = DateRange(self.cleaned_data["first_day"], last + timedelta(days=1) if last else None)
        self.instance.institution = self.instance.billing_account.institution
        return super().save(commit)


@admin.register(TaxCertificate)
class TaxCertificateAdmin(StaffAdmin):
    """Proofs that decide taxes: validated VAT numbers, proofs of non-residence."""

    editor = Permission.CLOSE_MONTH
    form = CertificateForm
    list_display = ["billing_account", "kind", "number", "valid", "source"]
    list_filter = ["kind"]
    list_select_related = ["billing_account"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody: a new proof is a new row."""
        return False
