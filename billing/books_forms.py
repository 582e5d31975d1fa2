"""The forms of what staff do to the books by hand. Each carries a key, so that sending it twice does it once."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import forms

from billing.chart_of_accounts import CHART, Account
from billing.models import BillImport, Fund, LedgerEntry, SupplierBill
from consortium.kernel.currencies import CURRENCY_EXPONENTS
from consortium.kernel.errors import PortalError
from consortium.kernel.money import parse_amount
from consortium.kernel.periods import Month
from members.models import Issuer

EXPENSES = [(str(code), f"{code} {CHART[code][1]}") for code in CHART if CHART[code][0] == "expense"]
INCOMES = [(str(code), f"{code} {CHART[code][1]}") for code in CHART if CHART[code][0] == "income"]


class AmountInput(forms.CharField):
    """An exact amount, typed with a point: 1234.50."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=40, help_text=options.pop("help_text", "Such as 1234.50"), **options)

    def clean(self, value: Any) -> Any:
        """Read it, or say what is wrong with it."""
        text = super().clean(value)
        if not text:
            return Decimal(0)
        try:
            return parse_amount(text.strip())
        except PortalError as error:
            raise forms.ValidationError(error.message) from error


class CurrencyInput(forms.CharField):
    """An ISO 4217 code."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=3, min_length=3, initial=options.pop("initial", "CAD"), **options)

    def clean(self, value: Any) -> str:
        """Accept it in small letters too."""
        code = str(super().clean(value)).upper()
        if code not in CURRENCY_EXPONENTS:
            raise forms.ValidationError(f"{code} is no currency. Use an ISO 4217 code, such as CAD.")
        return code


class DayInput(forms.DateField):
    """A day, picked or typed as 2026-11-30."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"), **options)


class KeyedForm(forms.Form):
    """A form whose hidden key is drawn once and sent back, errors and reloads included."""

    key = forms.CharField(max_length=80, widget=forms.HiddenInput)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, initial={"key": uuid4().hex})


class IssuerForm(KeyedForm):
    """A form about one issuer's books."""

    issuer = forms.ModelChoiceField(Issuer.objects.order_by("slug"), empty_label=None)


class MonthForm(IssuerForm):
    """A month of an issuer's books."""

    month = forms.CharField(max_length=7, help_text="Year and month, such as 2026-11")

    def clean_month(self) -> Month:
        """Read it."""
        try:
            return Month.parse(self.cleaned_data["month"].strip())
        except PortalError as error:
            raise forms.ValidationError(error.message) from error


class DayForm(IssuerForm):
    """A day of an issuer's books."""

    on = DayInput(label="Last day of the period")


class YearForm(IssuerForm):
    """The beginning of a fiscal year."""

    since = DayInput(label="First day", help_text="The first day of a month; the year has twelve of them")


class SupplierBillForm(IssuerForm):
    """A supplier's bill."""

    supplier = forms.CharField(max_length=200)
    number = forms.CharField(max_length=60, label="The supplier’s number")
    billed_on = DayInput()
    due_on = DayInput()
    expense = forms.TypedChoiceField(choices=EXPENSES, coerce=Account, label="Expense account")
    description = forms.CharField(max_length=300)
    currency = CurrencyInput()
    net = AmountInput(help_text="Without taxes; below zero for a credit note")
    gst = AmountInput(label="GST or HST", required=False)
    gst_recovered = AmountInput(label="of it that comes back", required=False)
    qst = AmountInput(label="QST", required=False)
    qst_recovered = AmountInput(label="of it that comes back", required=False)


class PaymentForm(KeyedForm):
    """Money that left for a bill."""

    supplier_bill = forms.ModelChoiceField(SupplierBill.objects.order_by("-billed_on"), required=False)
    cloud_bill = forms.ModelChoiceField(BillImport.objects.none(), required=False)
    on = DayInput(label="Left the bank on")
    amount = AmountInput(label="Settled, in the bill’s currency")
    bank_amount = AmountInput(label="Taken from the bank account")
    bank_currency = CurrencyInput(label="Currency of the bank account")
    reference = forms.CharField(max_length=100, label="The bank’s reference")

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        posted = LedgerEntry.objects.filter(kind="supplier_bill", source_type="billing.BillImport").values("source_id")
        bills = BillImport.objects.filter(pk__in=posted).select_related("cloud_account").order_by("-month")
        field: Any = self.fields["cloud_bill"]
        field.queryset = bills
        field.label_from_instance = lambda bill: f"{bill.cloud_account} {bill.month} v{bill.version}"

    def clean(self) -> dict[str, Any]:
        """Exactly one bill."""
        cleaned = super().clean() or {}
        if bool(cleaned.get("supplier_bill")) == bool(cleaned.get("cloud_bill")):
            raise forms.ValidationError("Choose one bill: a supplier’s or a cloud’s.")
        return cleaned


class AccrualForm(IssuerForm):
    """A cost or an income that no document shows yet."""

    kind = forms.ChoiceField(choices=[("cost", "cost"), ("income", "income")])
    account = forms.TypedChoiceField(choices=[*EXPENSES, *INCOMES], coerce=Account)
    amount = AmountInput()
    currency = CurrencyInput()
    on = DayInput(label="Last day of the month")
    grounds = forms.CharField(max_length=1_000, widget=forms.Textarea({"rows": 3}), label="How the amount was found")


class FundForm(IssuerForm):
    """A new fund."""

    code = forms.SlugField(max_length=40)
    kind = forms.ChoiceField(choices=[("grant", "restricted grant"), ("reserve", "reserve")])
    name_en = forms.CharField(max_length=200, label="Name in English")
    name_fr = forms.CharField(max_length=200, label="Name in French")
    purpose = forms.CharField(max_length=1_000, widget=forms.Textarea({"rows": 3}), label="What it may be spent on")
    giver = forms.CharField(max_length=200, label="Who restricts it")
    currency = CurrencyInput()


class FundMovementForm(KeyedForm):
    """Money into a fund, or out of it."""

    fund = forms.ModelChoiceField(Fund.objects.order_by("code"), empty_label=None)
    amount = AmountInput()
    on = DayInput()
    grounds = forms.CharField(max_length=300, label="The grant letter, or what it was spent on")


class FilterForm(forms.Form):
    """Whose books, and which days."""

    issuer = forms.ModelChoiceField(Issuer.objects.order_by("slug"), empty_label=None)
    since = DayInput(label="From")
    until = DayInput(label="To")

    def clean(self) -> dict[str, Any]:
        """The days in their order."""
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if isinstance(since, date) and isinstance(until, date) and until < since:
            self.add_error("until", "The last day comes before the first one.")
        return cleaned
