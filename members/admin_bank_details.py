"""Staff page of changes of our bank details: proposed on a form, confirmed by another person, never edited."""

from datetime import date
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from consortium.kernel.clock import now
from consortium.kernel.errors import Invalid
from members.bank_details import (
    BankPlace,
    confirm_bank_details,
    details_before,
    propose_bank_details,
    withdraw_bank_details,
)
from members.models import BankDetails, BankDetailsChange, Issuer, User
from members.permissions import Permission
from members.proposal_admin import Choice, ProposalAdmin, Typed, proposal_acts
from members.recording_admin import RecordingAdmin


class ProposalForm(forms.Form):
    """Where transfers shall go, from when, and how the proposer knows."""

    issuer = forms.ModelChoiceField(Issuer.objects.order_by("slug"))
    currency = forms.RegexField(
        r"^[A-Z]{3}$", max_length=3, error_messages={"invalid": "Three capital letters, such as CAD."}
    )
    bank = forms.CharField(max_length=100)
    holder = forms.CharField(label="Holder of the account", max_length=100)
    account_number = forms.CharField(label="Account number or IBAN", max_length=40)
    routing = forms.CharField(label="Transit, institution or SWIFT", max_length=60)
    effective_on = forms.DateField(label="First day", widget=forms.DateInput(attrs={"type": "date"}))
    reason = forms.CharField(
        label="Why, and how you checked the account with the bank",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 4}),
    )


def _check_number(row: BankDetailsChange, account_number: str) -> None:
    if "".join(account_number.split()) != "".join(row.account_number.split()):
        raise Invalid("That is not the number that was proposed. Ask the bank again.", field="account_number")


def _preview(row: BankDetailsChange) -> list[tuple[str, object]]:
    """What holds now and what would hold; the new number is not shown, since it is typed from another source."""
    before = details_before(row)
    return [
        ("Issuer", row.issuer),
        ("Currency", row.currency),
        ("Now", _words(before) if before else "No details in this currency"),
        ("From", row.effective_on.isoformat()),
        ("Then", f"{row.bank}, {row.holder}, {row.routing}"),
        ("Proposed by", row.proposed_by),
        ("Reason", row.reason),
    ]


def _words(details: BankDetails) -> str:
    return f"{details.bank}, {details.holder}, {details.account_number}, {details.routing}"


@admin.register(BankDetailsChange)
class BankDetailsChangeAdmin(RecordingAdmin, ProposalAdmin):
    """Changes of our bank details, the newest first."""

    editor = Permission.ISSUE_INVOICES
    form_class = ProposalForm
    list_display = ("proposed_at", "issuer", "currency", "bank", "effective_on", "status", "proposed_by", "decided_by")
    list_filter = ("status", "currency", "issuer")
    shown_with = ("issuer", "proposed_by", "decided_by")
    search_fields = ("bank", "reason")
    acts = proposal_acts(
        Choice(
            name="confirm",
            label="Confirm",
            explain="Members transfer money to this account from that day on. Call the bank on a number that you know "
            "before you confirm. Who proposed it cannot confirm it; all finance staff are told.",
            typed=Typed(
                field="account_number",
                label="Type the account number, from the bank’s letter or its answer to your own call",
                check=_check_number,
            ),
            run=confirm_bank_details,
            danger=True,
        ),
        Choice(
            name="withdraw",
            label="Withdraw",
            explain="The bank details stay as they are. All finance staff are told.",
            run=withdraw_bank_details,
        ),
        permission=Permission.ISSUE_INVOICES,
        preview=_preview,
    )

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002 - Django's signature
        """The number is not shown before it is decided: who confirms it types it from another source."""
        return ("account_number",) if obj is not None and obj.status == "waiting" else ()

    def record(self, *, by: User, **wanted: Any) -> BankDetailsChange:
        """Propose it; another person confirms."""
        issuer: Issuer = wanted["issuer"]
        effective_on: date = wanted["effective_on"]
        names = ("bank", "holder", "account_number", "routing")
        return propose_bank_details(
            issuer,
            BankPlace(**{name: wanted[name] for name in names}),
            currency=wanted["currency"],
            effective_on=effective_on,
            reason=wanted["reason"],
            by=by,
            at=now(),
        )
