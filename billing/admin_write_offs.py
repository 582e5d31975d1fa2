"""Staff pages of what is given up: proposed on the invoice's page, approved by another person, perhaps recovered."""

from datetime import datetime
from decimal import Decimal

from django import forms
from django.contrib import admin

from billing.models import Invoice, InvoiceBalance, Recovery, WriteOff
from billing.models.write_offs import TAX_EFFECTS
from billing.queries import OPEN
from billing.recoveries import recover, recoverable, waiting_credit
from billing.write_offs import WriteOffInvalid, approve_write_off, propose_write_off, withdraw_write_off
from consortium.kernel.formats import money_text
from consortium.kernel.money import AmountInvalid, parse_amount, plain
from members.admin_inlines import ReadOnlyInline
from members.models import User
from members.permissions import Permission
from members.proposal_admin import Choice, ProposalAdmin, Typed, proposal_acts
from members.staff_admin import Act


class ProposalForm(forms.Form):
    """Why, and what the issuer decided about the tax."""

    reason = forms.CharField(
        label="Why nobody expects it any more, and what was tried",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    tax_effect = forms.ChoiceField(
        label="The issuer’s decision about the tax, as its adviser confirmed it",
        choices=[("", "Choose"), *TAX_EFFECTS],
    )


class RecoveryForm(forms.Form):
    """How much came after all."""

    amount = forms.CharField(label="Amount, such as 1234.50", max_length=40)

    def clean_amount(self) -> Decimal:
        """Read the amount exactly."""
        try:
            return parse_amount(self.cleaned_data["amount"].strip())
        except AmountInvalid as error:
            raise forms.ValidationError(error.message) from error


def _money(amount: Decimal, currency: str) -> str:
    return money_text(amount, currency, language="en", code=True)


def _propose(row: Invoice, *, reason: str, tax_effect: str, by: User, at: datetime) -> object:
    return propose_write_off(row, reason=reason, tax_effect=tax_effect, by=by, at=at)


def _preview_invoice(row: Invoice) -> list[tuple[str, object]]:
    balance = InvoiceBalance.objects.get(pk=row.pk)
    return [
        ("Member", row.institution.name_en),
        ("Due since", row.due_on),
        ("Total", _money(row.total, row.currency)),
        ("Would be written off", _money(balance.due, row.currency)),
    ]


WRITE_OFF_ACT = Act(
    name="write-off",
    label="Propose to write off",
    explain="The whole rest that is due is put before another person, who approves it among the write-offs.",
    form=ProposalForm,
    run=_propose,
    states=OPEN,
    permission=Permission.ISSUE_INVOICES,
    preview=_preview_invoice,
    danger=True,
)


def _check_amount(row: WriteOff, amount: str) -> None:
    if amount.strip() != plain(row.amount):
        raise WriteOffInvalid(f"It comes to {plain(row.amount)} {row.currency}. Type exactly that.", field="amount")


def _recover(row: WriteOff, *, amount: Decimal, by: User, at: datetime) -> object:
    return recover(row, amount=amount, by=by, at=at)


def _preview(row: WriteOff) -> list[tuple[str, object]]:
    """Who wants it and why, in figures."""
    words: list[tuple[str, object]] = [
        ("Member", row.institution.name_en),
        ("Invoice", row.invoice.number),
        ("Due since", row.invoice.due_on),
        ("Written off", _money(row.amount, row.currency)),
        ("Tax", row.get_tax_effect_display()),
        ("Proposed by", row.proposed_by),
        ("Reason", row.reason),
    ]
    if row.status == "approved":
        words += [
            ("May still be recovered", _money(recoverable(row), row.currency)),
            ("The member's credit", _money(waiting_credit(row), row.currency)),
        ]
    return words


class RecoveryInline(ReadOnlyInline):
    """What came of it."""

    model = Recovery
    fields = ("recorded_at", "amount", "currency", "recorded_by")


@admin.register(WriteOff)
class WriteOffAdmin(ProposalAdmin):
    """What is given up; each begins on its invoice's page."""

    list_display = ["proposed_at", "invoice", "institution", "amount", "currency", "status", "proposed_by",
                    "decided_by"]  # fmt: skip
    list_filter = ["status", "currency", "tax_effect"]
    search_fields = ["invoice__number", "institution__name_en", "reason"]
    shown_with = ("invoice__issuer", "institution", "proposed_by", "decided_by")
    inlines = [RecoveryInline]
    acts = (
        *proposal_acts(
            Choice(
                name="approve",
                label="Approve",
                explain="The rest goes to bad debts, and nothing more is asked for. Who proposed it cannot approve it.",
                typed=Typed(field="amount", label="Type what is written off, such as 1234.50", check=_check_amount),
                run=approve_write_off,
                danger=True,
            ),
            Choice(
                name="withdraw",
                label="Withdraw",
                explain="The invoice stays due. The same can be proposed again.",
                run=withdraw_write_off,
            ),
            permission=Permission.ISSUE_INVOICES,
            preview=_preview,
        ),
        Act(
            name="recover",
            label="Recover from credit",
            explain="Money that came after all is the member's credit, by whatever way it came. As much as you say "
            "is put on the invoice and booked as recovered.",
            form=RecoveryForm,
            run=_recover,
            states=("approved",),
            permission=Permission.RECONCILE_PAYMENTS,
            preview=_preview,
        ),
    )
