"""The member's page of purchase orders: what is left on each, and the form for the next one."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from billing.models import BillingAccount, PurchaseOrder
from billing.purchase_orders import OrderLine, OrderStanding, close_order, orders_of, record_order, standing_of
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.money import AmountInvalid, parse_amount
from consortium.kernel.periods import local_date
from members.forms import show_refusal
from members.permissions import Permission
from members.web import MemberRequest, institution_page

MORE_LINES = 3


class OrderForm(forms.Form):
    """A purchase order with one to four lines; lines beyond the first may stay empty."""

    account = forms.ModelChoiceField(label=gettext_lazy("Payer"), queryset=BillingAccount.objects.none())
    number = forms.CharField(label=gettext_lazy("Number of the purchase order"), max_length=60)
    first_day = forms.DateField(label=gettext_lazy("First day"), widget=forms.DateInput(attrs={"type": "date"}))
    last_day = forms.DateField(label=gettext_lazy("Last day"), widget=forms.DateInput(attrs={"type": "date"}))
    description = forms.CharField(label=gettext_lazy("What it is for"), max_length=200)
    amount = forms.CharField(label=gettext_lazy("Amount, taxes included"), max_length=40)

    def __init__(self, *args: Any, accounts: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["account"]
        choice.queryset = accounts
        choice.empty_label = None
        for number in range(2, MORE_LINES + 2):
            words = {"number": number}
            self.fields[f"description_{number}"] = forms.CharField(
                label=_("Line %(number)s: what it is for") % words, max_length=200, required=False
            )
            self.fields[f"amount_{number}"] = forms.CharField(
                label=_("Line %(number)s: amount") % words, max_length=40, required=False
            )

    @property
    def more(self) -> list[Any]:
        """The fields of the lines that may stay empty."""
        return [self[name] for name in self.fields if name.rpartition("_")[2].isdecimal()]

    def clean(self) -> dict[str, Any]:
        """Read the lines; an amount without words, or words without an amount, is half a line."""
        found: dict[str, Any] = super().clean() or self.cleaned_data
        lines = []
        for suffix in ["", *(f"_{number}" for number in range(2, MORE_LINES + 2))]:
            words, amount = found.get(f"description{suffix}", ""), found.get(f"amount{suffix}", "")
            if words and amount:
                lines.append(OrderLine(description=words, amount=self._amount(f"amount{suffix}", amount)))
            elif amount:
                self.add_error(f"description{suffix}", _("Say what this line is for."))
            elif words and suffix:
                self.add_error(f"amount{suffix}", _("Enter the amount of this line."))
        found["lines"] = lines
        return found

    def _amount(self, name: str, text: str) -> Decimal:
        account = self.cleaned_data.get("account")
        try:
            return parse_amount(text.strip(), currency=account.currency if account else None)
        except AmountInvalid as error:
            self.add_error(name, error.message)
            return Decimal(1)


@institution_page(Permission.VIEW_INVOICES)
def purchase_orders(request: MemberRequest) -> HttpResponse:
    """See how far each order is used; record the next one."""
    may_order = Permission.MANAGE_PURCHASE_ORDERS in request.permissions
    accounts = BillingAccount.objects.filter(institution=request.institution, ended_at=None)
    form = OrderForm(request.POST or None, accounts=accounts)
    if request.method == "POST":
        if not may_order:
            raise PermissionDenied
        if form.is_valid():
            wanted = form.cleaned_data
            try:
                order = record_order(
                    wanted["account"],
                    number=wanted["number"],
                    lines=wanted["lines"],
                    first_day=wanted["first_day"],
                    last_day=wanted["last_day"],
                    by=request.user,
                    at=now(),
                )
            except PortalError as error:
                show_refusal(form, error)
            else:
                messages.success(request, _("Purchase order %(number)s is recorded.") % {"number": order.number})
                return redirect("purchase_orders", request.institution.slug)
    context = {
        "standings": standings_of(request.institution.pk, today=local_date(now(), request.institution.zone)),
        "accounts": accounts,
        "required": any(account.po_required for account in accounts),
        "may_order": may_order,
        "form": form,
        "form_errors": bool(form.errors),
    }
    return render(request, "billing/purchase_orders.html", context, status=422 if form.errors else 200)


@require_POST
@institution_page(Permission.MANAGE_PURCHASE_ORDERS)
def close(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Take no more invoices on an order."""
    order = PurchaseOrder.objects.filter(pk=pk, institution=request.institution).first()
    if order is None:
        raise Http404
    close_order(order, by=request.user, at=now())
    messages.success(request, _("Purchase order %(number)s is closed.") % {"number": order.number})
    return redirect("purchase_orders", request.institution.slug)


def standings_of(institution_id: UUID, *, today: date) -> list[OrderStanding]:
    """Return how far each of the institution's orders is used. Needs its scope."""
    orders = orders_of(institution_id).select_related("billing_account").prefetch_related("lines")
    return [standing_of(order, today=today) for order in orders]
