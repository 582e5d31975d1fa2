"""Staff pages of members' credit: what is held for whom, put on invoices, paid out, undone."""

from datetime import date, datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.member_credit import apply_credit, credit_held, credits_with_rest, refund_credit, undo_credit
from billing.models import Invoice, MemberCredit, MemberCreditUse
from consortium.kernel.errors import Invalid
from consortium.kernel.formats import money_text
from consortium.kernel.money import AmountInvalid, parse_amount, plain
from members.admin_inlines import ReadOnlyInline
from members.models import User
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin, held_by


class PutForm(forms.Form):
    """Which invoice, and how much."""

    number = forms.CharField(label="Invoice number", max_length=40)
    amount = forms.CharField(label="Amount (empty: as much as is due)", max_length=40, required=False)


class PayOutForm(forms.Form):
    """What left our bank."""

    amount = forms.CharField(label="Amount", max_length=40)
    reference = forms.CharField(label="The bank's reference", max_length=100)
    paid_on = forms.DateField(label="Paid on", widget=forms.DateInput(attrs={"type": "date"}))


class WhyForm(forms.Form):
    """Why it was wrong."""

    reason = forms.CharField(label="Why", max_length=300)


def put(row: MemberCredit, *, number: str, amount: str, by: User, at: datetime) -> object:
    """Put the member's credit on an invoice of its own."""
    invoice = Invoice.objects.filter(
        number=number.strip(), institution=row.institution_id, issuer=row.issuer_id
    ).first()
    if invoice is None:
        raise Invalid("This member has no invoice of that number.", field="number")
    return apply_credit(invoice, amount=_amount(amount, row) if amount.strip() else None, by=by, at=at)


def pay_out(row: MemberCredit, *, amount: str, reference: str, paid_on: date, by: User, at: datetime) -> object:
    """Record that credit was paid out."""
    told = {"amount": _amount(amount, row), "currency": row.currency, "reference": reference, "paid_on": paid_on}
    return refund_credit(row.institution, issuer=row.issuer, by=by, at=at, **told)


def preview(row: MemberCredit) -> list[tuple[str, object]]:
    """What the member has."""
    held = credit_held(row.institution_id, issuer=row.issuer)
    shown = [money_text(amount, currency, language="en", code=True) for currency, amount in held.items()]
    return [("Member", row.institution), ("Credit that is left, all together", ", ".join(shown) or "none")]


def _amount(text: str, row: MemberCredit) -> Any:
    try:
        return parse_amount(text.strip(), currency=row.currency)
    except AmountInvalid as error:
        error.field = "amount"
        raise


@admin.register(MemberCredit)
class MemberCreditAdmin(ActingAdmin):
    """Credit as it came, and what is left of each."""

    list_display = ["received_on", "institution", "amount", "currency", "left", "about"]
    list_filter = ["currency"]
    search_fields = ["institution__name_en", "about"]
    list_select_related = ["institution"]
    date_hierarchy = "received_on"
    acts = (
        Act(
            name="put",
            label="Put on an invoice",
            explain="The oldest credit of the member goes first, up to what is due.",
            form=PutForm,
            run=put,
            states=(),
            permission=Permission.RECONCILE_PAYMENTS,
            preview=preview,
        ),
        Act(
            name="pay-out",
            label="Record a pay-out",
            explain="For a transfer that our bank has made: it leaves the bank and the credit, the oldest first.",
            form=PayOutForm,
            run=pay_out,
            states=(),
            permission=Permission.RECONCILE_PAYMENTS,
            preview=preview,
        ),
    )

    class Uses(ReadOnlyInline):
        """What was used of it."""

        model = MemberCreditUse
        fields = ("used_at", "kind", "invoice", "amount", "currency", "reference", "used_by")

    inlines = [Uses]

    def get_queryset(self, request: HttpRequest) -> QuerySet[MemberCredit]:
        """With what is left of each."""
        return credits_with_rest(super().get_queryset(request))

    @admin.display(description="Left")
    def left(self, row: MemberCredit) -> str:
        """What is left of it."""
        return plain(row.rest)  # type: ignore[attr-defined] # the queryset adds it

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """Only where something is left."""
        return [act for act in self.acts if row.rest > 0 and act.permission in held_by(request)]


@admin.register(MemberCreditUse)
class MemberCreditUseAdmin(ActingAdmin):
    """What credit was used for."""

    list_display = ["used_at", "institution", "kind", "invoice", "amount", "currency", "reference"]
    list_filter = ["kind", "currency"]
    search_fields = ["institution__name_en", "invoice__number", "reference"]
    list_select_related = ["institution", "invoice"]
    date_hierarchy = "used_at"
    acts = (
        Act(name="undo", label="Undo", explain="The credit is taken off the invoice again, which is due again.",
            form=WhyForm, run=undo_credit, states=(), permission=Permission.RECONCILE_PAYMENTS, danger=True),
    )  # fmt: skip

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """Only what is on an invoice, once."""
        is_live = row.kind == "applied" and row.reverses_id is None and not hasattr(row, "reversed_by")
        return [act for act in self.acts if is_live and act.permission in held_by(request)]
