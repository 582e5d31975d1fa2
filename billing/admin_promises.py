"""Staff pages of promises to pay: recorded on a form as they are heard, withdrawn by an act, never edited."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from billing.models import Invoice, PaymentPromise, PromiseInvoice
from billing.promises import arrived, broken_promises, record_promise, withdraw_promise
from billing.queries import OPEN
from consortium.kernel.clock import now
from consortium.kernel.formats import money_text
from consortium.kernel.money import AmountInvalid, parse_amount
from members.admin_inlines import ReadOnlyInline
from members.models import User
from members.permissions import Permission
from members.recording_admin import RecordingAdmin
from members.staff_admin import Act, ActingAdmin


class PromiseForm(forms.Form):
    """The invoices, who said what, and by when."""

    invoices = forms.ModelMultipleChoiceField(Invoice.objects.none(), label="Invoices")
    said_by = forms.CharField(label="Who said it, and how", max_length=200)
    amount = forms.CharField(label="Amount, such as 1234.50", max_length=40)
    by_day = forms.DateField(label="By the end of", widget=forms.DateInput(attrs={"type": "date"}))
    note = forms.CharField(label="Note", required=False, max_length=500, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["invoices"]
        open_ones = Invoice.objects.filter(status__in=OPEN)
        choice.queryset = open_ones.select_related("institution", "issuer").order_by("institution__name_en", "due_on")
        choice.label_from_instance = lambda row: f"{row.institution.name_en}: {row.number}, due on {row.due_on}"

    def clean_amount(self) -> Decimal:
        """Read the amount exactly."""
        try:
            return parse_amount(self.cleaned_data["amount"].strip())
        except AmountInvalid as error:
            raise forms.ValidationError(error.message) from error


class NothingAsked(forms.Form):
    """Withdrawing needs no words."""


class BrokenFilter(admin.SimpleListFilter):
    """Whom to call."""

    title = "waits for a person"
    parameter_name = "waiting"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Yes."""
        return [("yes", "yes")]

    def queryset(self, _request: HttpRequest, queryset: Any) -> Any:
        """The broken ones about which nothing has been done."""
        return queryset.filter(pk__in=broken_promises().values("pk")) if self.value() else queryset


class InvoiceInline(ReadOnlyInline):
    """On which invoices."""

    model = PromiseInvoice
    fields = ("invoice", "live")


def _withdraw(row: PaymentPromise, *, by: User, at: datetime) -> object:
    return withdraw_promise(row, by=by, at=at)


def _preview(row: PaymentPromise) -> list[tuple[str, object]]:
    return [
        ("Member", row.institution.name_en),
        ("Who said it", row.said_by),
        ("Promised", money_text(row.amount, row.currency, language="en", code=True)),
        ("By the end of", row.by_day.isoformat()),
        ("Arrived since", money_text(arrived(row), row.currency, language="en", code=True)),
    ]


@admin.register(PaymentPromise)
class PaymentPromiseAdmin(RecordingAdmin, ActingAdmin):
    """What payers said they will pay, the newest first."""

    editor = Permission.ISSUE_INVOICES
    form_class = PromiseForm
    list_display = ("recorded_at", "institution", "amount", "currency", "by_day", "status", "said_by", "recorded_by")
    list_filter = (BrokenFilter, "status", "currency")
    list_select_related = ("institution", "recorded_by")
    search_fields = ("institution__name_en", "said_by", "note", "invoices__invoice__number")
    date_hierarchy = "by_day"
    inlines = (InvoiceInline,)
    acts = (
        Act(
            name="withdraw",
            label="Withdraw",
            explain="It does not count any more, and reminders go on from where they were.",
            form=NothingAsked,
            run=_withdraw,
            states=("open",),
            permission=Permission.ISSUE_INVOICES,
            preview=_preview,
        ),
    )

    def record(self, *, by: User, **wanted: Any) -> PaymentPromise:
        """Write it down; reminders of its invoices wait until its day is over."""
        return record_promise(list(wanted.pop("invoices")), **wanted, by=by, at=now())
