"""Staff pages of payments and refunds: what came, what went back, and giving money back with its figures first."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse

from billing.models import CardDispute, ClearingMovement, Payment, Refund, TakenBack
from billing.refreshing import want_payment
from billing.refunds import approve_refund, preview_refund, propose_refund, refundable, withdraw_refund
from consortium.kernel.clock import now
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.formats import money_text
from consortium.kernel.money import AmountInvalid, parse_amount, plain
from members.admin_inlines import ReadOnlyInline
from members.forms import show_refusal
from members.models import User
from members.permissions import Permission
from members.proposal_admin import Choice, ProposalAdmin, Typed, proposal_acts
from members.staff_admin import Act, ActingAdmin, held_by


class TotalMismatch(Invalid):
    """What was typed is not the amount."""

    code = "total_mismatch"


class RefundForm(forms.Form):
    """How much, and why; after its figures were shown, the amount once more."""

    amount = forms.CharField(label="Amount to give back, such as 1234.50", max_length=40)
    reason = forms.CharField(
        label="Why, as the payer reads it", max_length=300, widget=forms.Textarea(attrs={"rows": 3})
    )


TYPE_IT = "Type the amount, such as 1234.50"


class TypedForm(forms.Form):
    """The amount, typed: who moves money has read it."""

    total = forms.CharField(label=TYPE_IT, max_length=40)


def check_typed(total: str, amount: Decimal, currency: str) -> None:
    """Raise TotalMismatch unless the amount was typed exactly."""
    try:
        typed: Decimal | None = parse_amount(total.strip(), currency=currency)
    except AmountInvalid:
        typed = None
    if typed != amount:
        raise TotalMismatch(f"The amount is {plain(amount)} {currency}. Type exactly that.", field="total")


def shown(amount: Decimal, currency: str) -> str:
    """An amount for staff."""
    return money_text(amount, currency, language="en", code=True)


def figures_of(payment: Payment, amount: Decimal) -> list[tuple[str, str]]:
    """What a refund of that amount does, in figures. Raises what `preview_refund` raises."""
    seen, currency = preview_refund(payment, amount), payment.currency
    rows = [
        ("Invoice", str(payment.invoice.number)),
        ("Paid", shown(payment.amount, currency)),
        ("Can be given back", shown(seen.left, currency)),
        ("To be given back", shown(amount, currency)),
        ("Due again on the invoice", shown(seen.split.reopened, currency)),
        ("Taken out of the member's credit", shown(seen.split.from_credit, currency)),
    ]
    if seen.split.uncovered:
        rows.append(("To be recovered by a person", shown(seen.split.uncovered, currency)))
    way = "Waits until a colleague approves it" if seen.needs_second else "Goes out at once"
    return [*rows, ("What happens", f"{way}; to the card or account that paid ({payment.method or 'unknown'})")]


def act_refresh(row: Payment, *, by: User, at: datetime) -> object:
    """Ask the provider what is true of it now."""
    return want_payment(row, by=by, at=at)


def _check_refund(row: Refund, total: str) -> None:
    check_typed(total, row.amount, row.currency)


def preview_of_refund(row: Refund) -> list[tuple[str, object]]:
    """A proposed refund in figures."""
    return [
        ("Invoice", row.payment.invoice.number),
        ("Paid", shown(row.payment.amount, row.currency)),
        ("To be given back", shown(row.amount, row.currency)),
        ("Reason", row.reason),
        ("Proposed by", row.proposed_by or "the payment provider"),
    ]


class RefundRows(ReadOnlyInline):
    """What is given back."""

    model = Refund
    fk_name = "payment"
    fields = ("proposed_at", "status", "amount", "currency", "reason", "failure")


class DisputeRows(ReadOnlyInline):
    """What the payer's bank wants back."""

    model = CardDispute
    fk_name = "payment"
    fields = ("opened_at", "status", "is_return", "amount", "currency", "reason", "evidence_due_at")


class TakenRows(ReadOnlyInline):
    """What that did to the invoice and the member's credit."""

    model = TakenBack
    fields = ("at", "amount", "reopened", "from_credit", "uncovered", "currency")
    verbose_name_plural = "Taken back (above zero), or given again (below)"


class MovementRows(ReadOnlyInline):
    """What it did to our balance at the provider."""

    model = ClearingMovement
    fk_name = "payment"
    fields = ("happened_at", "kind", "amount", "fee", "net", "currency", "provider_id")
    verbose_name_plural = "Lines of our balance at the provider"


@admin.register(Payment)
class PaymentAdmin(ActingAdmin):
    """Attempts to pay, and what became of the money."""

    list_display = ["created_at", "invoice", "status", "amount", "currency", "went_back", "institution", "method",
                    "failure"]  # fmt: skip
    list_filter = ["status", "provider", "currency", "method"]
    search_fields = ["invoice__number", "institution__name_en", "intent_id", "session_id"]
    list_select_related = ["invoice", "institution"]
    date_hierarchy = "created_at"
    inlines = [RefundRows, DisputeRows, TakenRows, MovementRows]
    acts = (
        Act(
            name="refund",
            label="Refund",
            explain="Give some or all of it back.",
            form=forms.Form,
            run=act_refresh,
            states=("succeeded",),
            permission=Permission.REFUND_PAYMENTS,
        ),
        Act(
            name="refresh",
            label="Ask the provider again",
            explain="The provider is asked what is true of this payment now: paid, refunded, disputed. What is booked "
            "already stays; what is missing is booked.",
            form=forms.Form,
            run=act_refresh,
            states=("created", "pending", "failed", "succeeded"),
            permission=Permission.ISSUE_INVOICES,
        ),
    )

    @admin.display(description="went back")
    def went_back(self, row: Payment) -> str:
        """What of it was taken back, if anything."""
        taken = sum(each.amount for each in row.taken_back.all())
        return plain(Decimal(taken)) if taken else ""

    def get_queryset(self, request: HttpRequest) -> Any:
        """With what went back, for the list."""
        return super().get_queryset(request).prefetch_related("taken_back")

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """Only what came through a provider can be asked about there, or be given back through it."""
        acts = super().acts_for(request, row) if row.provider == "stripe" else []
        return [act for act in acts if act.name != "refund" or refundable(row) > 0]

    def get_urls(self) -> list[URLPattern]:
        """Add the page on which a payment is refunded."""
        page = self.admin_site.admin_view(self.refund)
        return [path("<uuid:pk>/refund/", page, name="billing_refund_payment"), *super().get_urls()]

    def act_page(self, request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
        """Refunding shows what the typed amount does: it has a page of its own."""
        if name == "refund":
            return redirect("admin:billing_refund_payment", pk)
        return super().act_page(request, pk, name)

    def refund(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask how much and why, show what it does, give it back when the amount was typed again."""
        row = Payment.objects.select_related("invoice").filter(pk=pk).first()
        if row is None:
            raise Http404
        if Permission.REFUND_PAYMENTS not in held_by(request):
            raise PermissionDenied
        form, figures = RefundForm(request.POST or None), []
        if request.method == "POST" and form.is_valid():
            try:
                amount = _amount(form.cleaned_data["amount"], row.currency)
                figures = figures_of(row, amount)
                if "total" in request.POST:
                    check_typed(request.POST["total"], amount, row.currency)
                    return self._given_back(request, row, amount, form.cleaned_data["reason"])
            except PortalError as error:
                show_refusal(form, error)
        back = reverse("admin:billing_payment_change", args=[pk])
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Refund: {row.invoice.number}, {shown(row.amount, row.currency)}",
            "row": row,
            "left": shown(refundable(row), row.currency),
            "form": form,
            "figures": figures,
            "back": back,
        }
        return render(request, "billing/admin/refund.html", context, status=422 if form.errors else 200)

    def _given_back(self, request: HttpRequest, row: Payment, amount: Decimal, reason: str) -> HttpResponse:
        by: Any = request.user
        refund = propose_refund(row, amount=amount, reason=reason, by=by, at=now())
        waits = "It waits for a colleague, who approves it here."
        said = waits if refund.status == "proposed" else "It is on its way to the provider."
        self.message_user(request, f"{shown(amount, row.currency)}: {said}", messages.SUCCESS)
        return redirect("admin:billing_refund_change", refund.pk)


def _amount(text: str, currency: str) -> Decimal:
    try:
        return parse_amount(text.strip(), currency=currency)
    except AmountInvalid as error:
        error.field = "amount"
        raise


@admin.register(Refund)
class RefundAdmin(ProposalAdmin):
    """Money that is given back."""

    list_display = ["proposed_at", "invoice", "institution", "status", "amount", "currency", "reason", "proposed_by",
                    "approved_by", "failure"]  # fmt: skip
    list_filter = ["status", "currency"]
    search_fields = ["payment__invoice__number", "institution__name_en", "provider_id"]
    shown_with = ("payment__invoice", "institution", "proposed_by", "approved_by")
    acts = proposal_acts(
        Choice(
            name="approve",
            label="Approve",
            explain="It goes to the card or account that paid. Another person than its proposer approves it.",
            typed=Typed(field="total", label=TYPE_IT, check=_check_refund),
            run=approve_refund,
        ),
        Choice(
            name="withdraw",
            label="Withdraw",
            explain="Nothing is given back.",
            run=withdraw_refund,
            danger=True,
        ),
        permission=Permission.REFUND_PAYMENTS,
        preview=preview_of_refund,
        waits="proposed",
    )

    class Taken(ReadOnlyInline):
        """What it did to our balance."""

        model = ClearingMovement
        fk_name = "refund"
        fields = ("happened_at", "kind", "amount", "fee", "net", "currency", "provider_id")
        verbose_name_plural = "Lines of our balance at the provider"

    inlines = [Taken]

    @admin.display(description="invoice")
    def invoice(self, row: Refund) -> str:
        """The invoice that was paid."""
        return str(row.payment.invoice.number)
