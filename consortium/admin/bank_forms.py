"""What the pages of our bank ask."""

import re
from typing import Any

from django import forms

from billing.bank_matching import MatchInvalid, Part
from billing.by_hand import METHODS
from billing.models import BankAccount, BankLine, Invoice
from consortium.kernel.money import AmountInvalid, parse_amount
from members.models import Institution

DELIMITERS = ((",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "bar"))


class ImportForm(forms.Form):
    """A file of one account."""

    account = forms.ModelChoiceField(BankAccount.objects.all())
    file = forms.FileField(label="Statement")
    only_look = forms.BooleanField(label="Only look into it", required=False, initial=True)


class MappingForm(forms.Form):
    """Which column says what."""

    account = forms.ModelChoiceField(BankAccount.objects.all())
    file = forms.FileField(label="A CSV file of it")
    delimiter = forms.ChoiceField(choices=DELIMITERS)
    booked_on = forms.CharField(label="Column of the day", max_length=80)
    date_format = forms.ChoiceField(
        label="Days are written",
        choices=(("%Y-%m-%d", "2026-11-25"), ("%d/%m/%Y", "25/11/2026"), ("%m/%d/%Y", "11/25/2026"),
                 ("%d.%m.%Y", "25.11.2026"), ("%Y%m%d", "20261125")),
    )  # fmt: skip
    decimal_mark = forms.ChoiceField(label="Decimals follow", choices=((".", "a point"), (",", "a comma")))
    amount = forms.CharField(label="Column of the amount (or the two below)", max_length=80, required=False)
    credit = forms.CharField(label="Column of money in", max_length=80, required=False)
    debit = forms.CharField(label="Column of money out", max_length=80, required=False)
    payer = forms.CharField(label="Column of the payer", max_length=80, required=False)
    payer_account = forms.CharField(label="Column of the payer's account", max_length=80, required=False)
    text = forms.CharField(label="Column of the text", max_length=80, required=False)
    reference = forms.CharField(label="Column of the bank's reference", max_length=80, required=False)
    save = forms.BooleanField(label="Save it", required=False)

    def mapping(self) -> dict[str, str]:
        """The mapping as the account keeps it."""
        return {name: value for name, value in self.cleaned_data.items() if name not in {"account", "file", "save"}}


class SplitForm(forms.Form):
    """Which invoice gets how much."""

    parts = forms.CharField(
        label="Invoices and amounts, one per line",
        widget=forms.Textarea(attrs={"rows": 5, "cols": 60}),
        max_length=4_000,
    )


class CreditForm(forms.Form):
    """Whose credit it is."""

    institution = forms.ModelChoiceField(Institution.objects.order_by("name_en"), label="Member")


class ParkForm(forms.Form):
    """Why it waits."""

    reason = forms.CharField(label="Why", max_length=300)


class UndoForm(ParkForm):
    """Why it was wrong."""

    bare: type[forms.Form] = forms.Form


class HandForm(forms.Form):
    """What came in, and its proof."""

    number = forms.CharField(label="Invoice number", max_length=40)
    amount = forms.CharField(label="Amount, in the invoice's currency", max_length=40)
    received_on = forms.DateField(label="Received on", widget=forms.DateInput(attrs={"type": "date"}))
    method = forms.ChoiceField(label="How", choices=METHODS)
    reference = forms.CharField(label="Number of the cheque or wire", max_length=60)
    proof = forms.FileField(label="Proof (PDF, PNG or JPEG)")

    def clean(self) -> dict[str, Any]:
        """Find the invoice, and read the amount in its currency."""
        told = super().clean() or {}
        invoice = Invoice.objects.filter(number=(told.get("number") or "").strip()).select_related("issuer").first()
        if told.get("number") and invoice is None:
            self.add_error("number", "No invoice has this number.")
        elif invoice is not None and told.get("amount"):
            try:
                told["amount"] = parse_amount(told["amount"].strip(), currency=invoice.currency)
            except AmountInvalid as error:
                self.add_error("amount", error.message)
        return {**told, "invoice": invoice}


def parts_of(line: BankLine, text: str) -> list[Part]:
    """Read what was typed: a number, an amount, and perhaps fee= and credited=. Raises MatchInvalid with the line."""
    rows = [row.strip() for row in text.splitlines() if row.strip()]
    return [_part(line, row, number) for number, row in enumerate(rows, 1)]


def _part(line: BankLine, row: str, number: int) -> Part:
    found = re.fullmatch(r"(\S+)\s+(\S+)((?:\s+(?:fee|credited)=\S+)*)", row)
    if found is None:
        raise MatchInvalid(f"Line {number}: write a number and an amount, as ICC-2026-000007 120.00.", field="parts")
    invoice = Invoice.objects.filter(number=found[1], issuer=line.account.issuer_id).select_related("issuer").first()
    if invoice is None:
        raise MatchInvalid(f"Line {number}: no invoice has the number {found[1]}.", field="parts")
    more = dict(each.split("=", 1) for each in found[3].split())
    try:
        return Part(
            invoice=invoice,
            amount=parse_amount(found[2], currency=line.currency),
            fee=parse_amount(more.get("fee", "0"), currency=invoice.currency),
            credited=parse_amount(more["credited"], currency=invoice.currency) if "credited" in more else None,
        )
    except AmountInvalid as error:
        raise MatchInvalid(f"Line {number}: {error.message}", field="parts") from None
