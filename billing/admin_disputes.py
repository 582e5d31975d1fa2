"""Staff pages of what payers say: disputes to decide, questions to answer, links that were passed on."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from billing.crediting import left_of, plan_credit
from billing.disputes import ask_payer, credit_dispute, credited_by, release_dispute
from billing.documents.invoice import explanation_of
from billing.models import CreditNote, DisputeEntry, InvoiceQuestion, LineDispute, LinkShare
from billing.questions import answer_question
from billing.snapshot import InvoiceSnapshot
from billing.states_collecting import HOLDING
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.formats import money_text
from consortium.kernel.money import AmountInvalid, parse_amount, plain
from members.admin_inlines import ReadOnlyInline
from members.models import User
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin, StaffAdmin


class TextForm(forms.Form):
    """What the payer reads."""

    text = forms.CharField(label="What the payer reads", max_length=5_000, widget=forms.Textarea(attrs={"rows": 5}))


class CreditForm(TextForm):
    """How much of the line is taken back, before tax."""

    net = forms.CharField(label="Taken back, before tax", max_length=40)
    field_order = ("net", "text")


class NumberForm(TextForm):
    """The credit note that took it back."""

    number = forms.CharField(label="Number of the credit note", max_length=40)
    field_order = ("number", "text")


class AnswerForm(forms.Form):
    """The answer to a question."""

    answer = forms.CharField(label="Answer", max_length=5_000, widget=forms.Textarea(attrs={"rows": 8}))


def credit(row: LineDispute, *, net: str, text: str, by: User, at: datetime) -> object:
    """Credit what was typed. Raises AmountInvalid for what is no amount, and what credit_dispute raises."""
    try:
        amount = parse_amount(net.strip(), currency=row.currency)
    except AmountInvalid as error:
        error.field = "net"
        raise
    return credit_dispute(row, net=amount, text=text, by=by, at=at)


def credited(row: LineDispute, *, number: str, text: str, by: User, at: datetime) -> object:
    """End it by a credit note of its invoice. Raises Invalid where there is none of that number."""
    note = CreditNote.objects.filter(invoice=row.invoice, number=number.strip()).first()
    if note is None:
        raise Invalid("No credit note of that number is on this invoice.", field="number")
    return credited_by(row, note, text=text, by=by, at=at)


def preview(row: LineDispute) -> list[tuple[str, object]]:
    """The line with its evidence, what is held, and what both sides wrote."""

    def shown(amount: Decimal) -> str:
        return money_text(amount, row.currency, language="en", code=True)

    evidence = explanation_of(InvoiceSnapshot.from_json(row.invoice.snapshot), row.line.position)
    steps = [(step.label, f"{step.reckoning}  {step.result}") for step in evidence.steps] if evidence else []
    said = [(f"{entry.at:%Y-%m-%d} {entry.side}", entry.text) for entry in row.entries.all()]
    return [
        ("Invoice", row.invoice),
        ("Line", row.line.description_en),
        ("Charged before tax", shown(row.line.net)),
        ("Left of it", shown(left_of(row.invoice)[row.line_id])),
        *steps,
        ("Disputed before tax", shown(row.net)),
        ("Held with taxes", shown(row.amount)),
        ("A credit of all of it", _whole(row)),
        ("Answer by", row.answer_by),
        *said,
    ]


def _whole(row: LineDispute) -> str:
    try:
        plan = plan_credit(row.invoice, {row.line_id: row.net})
    except PortalError as error:
        return error.message
    taxes = money_text(plan.tax, row.currency, language="en", code=True)
    return f"{money_text(plan.total, row.currency, language='en', code=True)}, of which {taxes} tax"


class TurnFilter(admin.SimpleListFilter):
    """What waits for us."""

    title = "whose turn"
    parameter_name = "turn"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Ours, or the payer's."""
        return [("ours", "ours"), ("payer", "the payer's")]

    def queryset(self, _request: HttpRequest, queryset: Any) -> Any:
        """Narrow to it."""
        state = {"ours": "open", "payer": "asked"}.get(self.value() or "")
        return queryset.filter(status=state) if state else queryset


def _act(name: str, label: str, explain: str, run: Any, form: type[forms.Form], **more: Any) -> Act:
    permission = Permission.ISSUE_INVOICES
    given = {"states": HOLDING, "preview": preview, **more}
    return Act(name=name, label=label, explain=explain, run=run, form=form, permission=permission, **given)


@admin.register(LineDispute)
class LineDisputeAdmin(ActingAdmin):
    """Lines that payers do not accept; the soonest answer due comes first."""

    list_display = ["invoice", "line", "institution", "status", "amount", "currency", "opened_at", "answer_by"]
    list_filter = [TurnFilter, "status", "currency"]
    search_fields = ["invoice__number", "institution__name_en", "name", "email"]
    list_select_related = ["invoice", "line", "institution"]
    ordering = ["answer_by"]
    date_hierarchy = "opened_at"
    acts = (
        _act("ask", "Ask the payer", "Their clock runs for 14 days; without an answer the amount is due again.",
             ask_payer, TextForm, states=("open",)),
        _act("credit", "Credit", "A credit note takes it back; what is not taken back is due again.", credit,
             CreditForm, initial=lambda row: {"net": plain(row.net)}),
        _act("credited", "Credited already", "For a credit that two people approved: name its credit note.", credited,
             NumberForm),
        _act("release", "Release", "The line stands; its amount is due again, and the payer reads why.",
             release_dispute, TextForm),
    )  # fmt: skip

    class Entries(ReadOnlyInline):
        """What both sides wrote."""

        model = DisputeEntry
        fields = ("at", "side", "author", "text")

    inlines = [Entries]


@admin.register(InvoiceQuestion)
class InvoiceQuestionAdmin(ActingAdmin):
    """Questions from pay pages."""

    list_display = ["asked_at", "invoice", "institution", "name", "status", "answered_by"]
    list_filter = ["status"]
    search_fields = ["invoice__number", "institution__name_en", "name", "email"]
    list_select_related = ["invoice", "institution", "answered_by"]
    acts = (
        Act(
            name="answer",
            label="Answer",
            explain="The answer goes by mail to whoever asked, in the words you write; it stays with the invoice.",
            form=AnswerForm,
            run=answer_question,
            states=("open",),
            permission=Permission.ISSUE_INVOICES,
            preview=lambda row: [("Invoice", row.invoice), ("From", f"{row.name} <{row.email}>"),
                                 ("Language", row.get_language_display()), ("Question", row.text)],
        ),
    )  # fmt: skip


@admin.register(LinkShare)
class LinkShareAdmin(StaffAdmin):
    """To whom payers passed a link on."""

    list_display = ["shared_at", "invoice", "institution", "email", "language"]
    list_select_related = ["invoice", "institution"]
    date_hierarchy = "shared_at"


def open_disputes() -> int:
    """How many disputes wait for us."""
    return LineDispute.objects.filter(status="open").count()


def open_questions() -> int:
    """How many questions wait for an answer."""
    return InvoiceQuestion.objects.filter(status="open").count()
