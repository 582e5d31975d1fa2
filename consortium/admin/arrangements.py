"""Staff pages of payment in parts: what was agreed, how it goes, and the form that records an agreement."""

from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from billing.arrangements import arrange, cancel_arrangement, next_part, paid_so_far
from billing.models import ArrangementInvoice, ArrangementPart, Invoice, PaymentArrangement
from consortium.admin.tools import ToolAdmin, person_of
from consortium.kernel.clock import now
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import AmountInvalid, parse_amount
from members.admin_inlines import ReadOnlyInline
from members.forms import show_refusal
from members.permissions import Permission
from members.staff_admin import Act

PARTS = 6


class ArrangeForm(forms.Form):
    """The invoices, the parts and the grounds."""

    invoices = forms.ModelMultipleChoiceField(Invoice.objects.none(), label="Invoices")
    reason = forms.CharField(label="Why, and with whom it was agreed", max_length=300)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["invoices"]
        open_ones = Invoice.objects.filter(status__in=("issued", "partly_paid"))
        choice.queryset = open_ones.select_related("institution").order_by("institution__name_en", "due_on")
        for number in range(1, PARTS + 1):
            first = number == 1
            day = forms.DateInput(attrs={"type": "date"})
            self.fields[f"day_{number}"] = forms.DateField(label=f"Part {number}: day", required=first, widget=day)
            self.fields[f"amount_{number}"] = forms.CharField(
                label=f"Part {number}: amount, such as 1200.00", required=first, max_length=40
            )

    def parts(self) -> list[tuple[date, Decimal]]:
        """The parts that were filled in. Raises Invalid for half a part and for what is no amount."""
        found = []
        for number in range(1, PARTS + 1):
            day, text = self.cleaned_data[f"day_{number}"], self.cleaned_data[f"amount_{number}"].strip()
            if bool(day) != bool(text):
                raise Invalid("A part has a day and an amount.", field=f"amount_{number}")
            if day:
                try:
                    found.append((day, parse_amount(text)))
                except AmountInvalid as error:
                    raise Invalid(error.message, field=f"amount_{number}") from None
        return found


@admin.register(PaymentArrangement)
class PaymentArrangementAdmin(ToolAdmin):
    """What is paid in parts."""

    list_display = ["institution", "total", "currency", "status", "agreed_at", "agreed_by", "reason"]
    list_filter = ["status", "currency"]
    search_fields = ["institution__name_en", "reason"]
    list_select_related = ["institution", "agreed_by"]
    tools: ClassVar = (("agree", "Agree on parts", Permission.ISSUE_INVOICES),)
    acts = (
        Act(
            name="cancel",
            label="End it",
            explain="Everything is due as the invoices say; reminders and the ladder go on from where they were.",
            form=forms.Form,
            run=cancel_arrangement,
            states=("active",),
            permission=Permission.ISSUE_INVOICES,
            preview=lambda row: [("Paid so far", paid_so_far(row)), ("Next part", next_part(row) or "none")],
            danger=True,
        ),
    )

    class Parts(ReadOnlyInline):
        """By which day how much."""

        model = ArrangementPart
        fields = ("due_on", "amount")

    class Invoices(ReadOnlyInline):
        """Of which invoices."""

        model = ArrangementInvoice
        fields = ("invoice", "amount", "live")

    inlines = [Parts, Invoices]

    def tool_agree(self, request: HttpRequest) -> HttpResponse:
        """Record what was agreed with a payer."""
        form = ArrangeForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                row = arrange(
                    list(form.cleaned_data["invoices"]),
                    form.parts(),
                    reason=form.cleaned_data["reason"],
                    by=person_of(request),
                    at=now(),
                )
            except PortalError as error:
                show_refusal(form, error)
            else:
                return self.done(request, f"{row.institution} pays {row.total} {row.currency} in parts.")
        return self.tool_page(
            request,
            title="Agree on parts",
            explain="The parts come to what is open on the invoices. While each comes by its day, nobody is reminded.",
            button="Agree",
            form=form,
        )
