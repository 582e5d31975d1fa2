"""Staff pages of what payers' banks take back: disputes to answer or accept, and what became due again."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.admin_paying import TypedForm, check_typed, shown
from billing.card_disputes import ANSWERABLE, LONGEST_EVIDENCE, accept_dispute, answer_dispute, unanswered_disputes
from billing.gateways.stripe_reasons import reason_words
from billing.models import CardDispute, CardDisputeAnswer, ClearingMovement, InvoiceLine, Reopening
from consortium.kernel.formats import day_text
from consortium.kernel.periods import local_date
from members.admin_inlines import ReadOnlyInline
from members.models import User
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin, StaffAdmin


class EvidenceForm(forms.Form):
    """What shows that the payment is right."""

    evidence = forms.CharField(
        label="Our evidence, as the payer's bank reads it",
        max_length=LONGEST_EVIDENCE,
        widget=forms.Textarea(attrs={"rows": 12}),
    )


class DisputeTurnFilter(admin.SimpleListFilter):
    """Whose turn it is."""

    title = "turn"
    parameter_name = "turn"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 - Django's signature
        """Ours, or the bank's."""
        return [("ours", "to be answered by us"), ("bank", "with the payer's bank")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CardDispute]) -> QuerySet[CardDispute]:  # noqa: ARG002
        """Narrow the list."""
        ours = unanswered_disputes().values("pk")
        if self.value() == "ours":
            return queryset.filter(pk__in=ours)
        if self.value() == "bank":
            return queryset.filter(closed_at=None).exclude(pk__in=ours)
        return queryset


def facts_of(row: CardDispute) -> list[tuple[str, object]]:
    """What one needs to answer: the money, its invoice, what was delivered for it."""
    invoice = row.payment.invoice
    due = day_text(local_date(row.evidence_due_at, invoice.issuer.zone), language="en") if row.evidence_due_at else "—"
    lines = InvoiceLine.objects.filter(invoice=invoice).order_by("position")
    return [
        ("Amount", shown(row.amount, row.currency)),
        ("The bank says", reason_words(row.reason)),
        ("Answer by", due),
        ("Invoice", f"{invoice.number}, {invoice.institution}"),
        ("Paid", f"{row.payment.succeeded_at:%Y-%m-%d %H:%M} UTC, {row.payment.intent_id}"),
        *((f"Line {line.position}", f"{line.description_en}: {shown(line.net, line.currency)}") for line in lines),
    ]


def draft_of(row: CardDispute) -> dict[str, Any]:
    """A first draft of the evidence, from what the portal knows."""
    invoice = row.payment.invoice
    lines = InvoiceLine.objects.filter(invoice=invoice).order_by("position").values_list("description_en", flat=True)
    words = [
        f"{invoice.institution} is a member of {invoice.issuer.name_en} under a signed agreement.",
        f"Invoice {invoice.number} of {invoice.issued_at:%Y-%m-%d} over {shown(invoice.total, invoice.currency)} was",
        f"sent to its accounts-payable office, and paid on {row.payment.succeeded_at:%Y-%m-%d} on the page that it",
        "links to.",
        "It charges:",
        *(f"- {line}" for line in lines),
    ]
    return {"evidence": "\n".join(words)}


def act_answer(row: CardDispute, *, evidence: str, by: User, at: datetime) -> object:
    """Hand over our evidence."""
    return answer_dispute(row, evidence=evidence, by=by, at=at)


def act_accept(row: CardDispute, *, total: str, by: User, at: datetime) -> object:
    """Give in."""
    check_typed(total, row.amount, row.currency)
    return accept_dispute(row, by=by, at=at)


@admin.register(CardDispute)
class CardDisputeAdmin(ActingAdmin):
    """What payers' banks want back; the first day to answer comes first."""

    list_display = ["opened_at", "invoice", "institution", "status", "is_return", "amount", "currency", "reason",
                    "evidence_due_at", "closed_at"]  # fmt: skip
    list_filter = [DisputeTurnFilter, "status", "is_return", "currency"]
    search_fields = ["payment__invoice__number", "institution__name_en", "provider_id"]
    list_select_related = ["payment__invoice", "institution"]
    ordering = ["closed_at", "evidence_due_at"]
    date_hierarchy = "opened_at"
    acts = (
        Act(
            name="answer",
            label="Answer with evidence",
            explain="The payer's bank reads it and decides. It takes an answer once, so say all of it.",
            form=EvidenceForm,
            run=act_answer,
            states=ANSWERABLE,
            permission=Permission.REFUND_PAYMENTS,
            preview=facts_of,
            initial=draft_of,
        ),
        Act(
            name="accept",
            label="Accept",
            explain="The money stays with the payer, and is due on the invoice again. It cannot be undone.",
            form=TypedForm,
            run=act_accept,
            states=ANSWERABLE,
            permission=Permission.REFUND_PAYMENTS,
            preview=facts_of,
            danger=True,
        ),
    )

    class Answers(ReadOnlyInline):
        """What we said."""

        model = CardDisputeAnswer
        fields = ("at", "kind", "evidence", "by")

    class Movements(ReadOnlyInline):
        """What it did to our balance."""

        model = ClearingMovement
        fk_name = "dispute"
        fields = ("happened_at", "kind", "amount", "fee", "net", "currency", "provider_id")
        verbose_name_plural = "Lines of our balance at the provider"

    inlines = [Answers, Movements]

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """Nothing more is said once it is answered."""
        return [] if CardDisputeAnswer.objects.filter(dispute=row).exists() else super().acts_for(request, row)

    @admin.display(description="invoice")
    def invoice(self, row: CardDispute) -> str:
        """The invoice that was paid."""
        return str(row.payment.invoice.number)


@admin.register(Reopening)
class ReopeningAdmin(StaffAdmin):
    """Why parts of invoices that were paid are due again."""

    list_display = ["at", "invoice", "institution", "amount", "currency", "because", "note"]
    list_filter = ["because", "currency"]
    search_fields = ["invoice__number", "institution__name_en"]
    list_select_related = ["invoice", "institution"]
    date_hierarchy = "at"
