"""Staff pages of the payment provider: payouts to match with the bank, and its news as a queue of work."""

from datetime import date, datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.admin_paying import shown
from billing.event_queue import open_problems, process_again, set_aside
from billing.models import (
    Payout,
    PayoutArrival,
    PayoutLine,
    ProviderEvent,
)
from billing.payouts import arrival_of, record_arrival, undo_arrival
from billing.refreshing import want_payout
from consortium.kernel.clock import now
from consortium.kernel.periods import local_date
from members.admin_inlines import ReadOnlyInline
from members.models import User
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin, held_by


class ArrivalForm(forms.Form):
    """The line of the bank's statement."""

    on = forms.DateField(label="On the bank's statement on", widget=forms.DateInput(attrs={"type": "date"}))
    reference = forms.CharField(label="The statement's reference", max_length=200)


class DayForm(forms.Form):
    """The day of the reversing entry."""

    on = forms.DateField(label="Posted on", widget=forms.DateInput(attrs={"type": "date"}))


class NoteForm(forms.Form):
    """What was found."""

    note = forms.CharField(label="What you found or did", max_length=500, widget=forms.Textarea(attrs={"rows": 3}))


# --- Payouts ----------------------------------------------------------------------------------------------------------


def facts_of_payout(row: Payout) -> list[tuple[str, object]]:
    """A payout by kind of line."""
    sums: dict[str, Any] = {}
    for line in row.lines.select_related("movement"):
        kind, movement = line.movement.kind, line.movement
        sums[kind] = sums.get(kind, 0) + movement.amount
        sums["fees"] = sums.get("fees", 0) - movement.fee
    return [
        ("Payout", row.provider_id),
        *((kind.replace("_", " "), shown(amount, row.currency)) for kind, amount in sums.items()),
        ("Amount", shown(row.amount, row.currency)),
        ("Expected at the bank", row.arrives_on),
        ("The statement says", row.reference or "STRIPE"),
    ]


def act_arrived(row: Payout, *, on: date, reference: str, by: User, at: datetime) -> object:
    """The bank's statement shows it."""
    return record_arrival(row, on=on, reference=reference, by=by, at=at)


def act_undo(row: Payout, *, on: date, by: User, at: datetime) -> object:
    """The match was wrong."""
    return undo_arrival(arrival_of(row), on=on, by=by, at=at)


def act_ask(row: Payout, *, by: User, at: datetime) -> object:
    """Ask the provider for its lines again."""
    return want_payout(row, by=by, at=at)


def act_strangers(row: Payout, *, by: User, at: datetime) -> object:
    """Accept that some lines are not the portal's."""
    return want_payout(row, by=by, at=at, accept_strangers=True)


@admin.register(Payout)
class PayoutAdmin(ActingAdmin):
    """What the provider sends to our bank."""

    list_display = ["arrives_on", "status", "amount", "currency", "reference", "provider_id", "at_bank", "problem"]
    list_filter = ["status", "currency", ("problem", admin.EmptyFieldListFilter)]
    search_fields = ["provider_id", "reference"]
    ordering = ["-arrives_on"]
    date_hierarchy = "arrives_on"
    acts = (
        Act(
            name="arrived",
            label="It is on the bank's statement",
            explain="It is posted from its way to the bank. Undo it if it was matched with the wrong line.",
            form=ArrivalForm,
            run=act_arrived,
            states=("in_transit", "paid"),
            permission=Permission.CLOSE_MONTH,
            preview=facts_of_payout,
        ),
        Act(
            name="undo",
            label="Undo the match",
            explain="An entry reverses it, and the payout is on its way again.",
            form=DayForm,
            run=act_undo,
            states=("in_transit", "paid", "failed"),
            permission=Permission.CLOSE_MONTH,
            preview=facts_of_payout,
            initial=lambda row: {"on": local_date(now(), row.issuer.zone)},
            danger=True,
        ),
        Act(
            name="ask",
            label="Ask the provider again",
            explain="Its state and its lines are read again; what is missing is booked.",
            form=forms.Form,
            run=act_ask,
            states=("pending", "in_transit", "paid", "failed", "canceled"),
            permission=Permission.CLOSE_MONTH,
        ),
        Act(
            name="strangers",
            label="Accept lines that are not the portal's",
            explain="Something else is sold through the same account at the provider. Those lines are booked as "
            "“Receipts to be explained”, from where an entry moves them to where they belong.",
            form=forms.Form,
            run=act_strangers,
            states=("in_transit", "paid", "failed"),
            permission=Permission.CLOSE_MONTH,
            preview=lambda row: [("What is wrong", row.problem)],
            danger=True,
        ),
    )

    class Lines(ReadOnlyInline):
        """What it takes along."""

        model = PayoutLine
        fields = ("kind", "payment", "amount", "fee", "net")
        readonly_fields = fields

        def get_queryset(self, request: HttpRequest) -> Any:
            """With their movements."""
            return super().get_queryset(request).select_related("movement__payment__invoice")

        def kind(self, row: PayoutLine) -> str:
            """What it is."""
            return row.movement.get_kind_display()

        def payment(self, row: PayoutLine) -> str:
            """Whose payment, if it is one."""
            payment = row.movement.payment
            return f"{payment.invoice.number}, {payment.invoice.institution}" if payment else row.movement.provider_id

        def amount(self, row: PayoutLine) -> str:
            """What came in, or went."""
            return shown(row.movement.amount, row.movement.currency)

        def fee(self, row: PayoutLine) -> str:
            """What was kept of it."""
            return shown(row.movement.fee, row.movement.currency)

        def net(self, row: PayoutLine) -> str:
            """What is left."""
            return shown(row.movement.net, row.movement.currency)

    class Arrivals(ReadOnlyInline):
        """When the bank had it."""

        model = PayoutArrival
        fields = ("on", "reference", "by", "at", "undone_at", "undone_by")

    inlines = [Lines, Arrivals]

    def get_queryset(self, request: HttpRequest) -> Any:
        """With what the bank has."""
        return super().get_queryset(request).prefetch_related("arrivals")

    @admin.display(description="at the bank")
    def at_bank(self, row: Payout) -> date | None:
        """The day on which the bank had it."""
        return next((each.on for each in row.arrivals.all() if each.undone_at is None), None)

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """What fits where it stands."""
        here = row.arrivals.filter(undone_at=None).exists()
        fits = {"arrived": not here and row.lines.exists(), "undo": here, "strangers": bool(row.problem)}
        return [act for act in super().acts_for(request, row) if fits.get(act.name, True)]


# --- News -------------------------------------------------------------------------------------------------------------


class LookFilter(admin.SimpleListFilter):
    """What somebody must look at."""

    title = "look"
    parameter_name = "look"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 - Django's signature
        """Open, or set aside."""
        return [("open", "to be looked at"), ("aside", "set aside")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ProviderEvent]) -> QuerySet[ProviderEvent]:  # noqa: ARG002
        """Narrow the list."""
        if self.value() == "open":
            return queryset.filter(pk__in=open_problems().values("pk"))
        return queryset.exclude(looked_at=None) if self.value() == "aside" else queryset


def act_again(row: ProviderEvent, *, by: User, at: datetime) -> object:
    """As if it came now."""
    return process_again(row, by=by, at=at)


def act_aside(row: ProviderEvent, *, note: str, by: User, at: datetime) -> object:
    """Somebody has looked."""
    return set_aside(row, note=note, by=by, at=at)


def facts_of_event(row: ProviderEvent) -> list[tuple[str, object]]:
    """What it was about."""
    subject = row.payload.get("data", {}).get("object", {}) if isinstance(row.payload, dict) else {}
    return [("What happened", row.type), ("About", subject.get("id", "")), ("What is wrong", row.error or "nothing")]


@admin.register(ProviderEvent)
class ProviderEventAdmin(ActingAdmin):
    """The inbox of webhooks: what was told, what came of it, what a person must look at."""

    list_display = ["received_at", "type", "error", "note", "processed_at", "attempts"]
    list_filter = [LookFilter, "type", ("processed_at", admin.EmptyFieldListFilter)]
    search_fields = ["event_id", "type", "error"]
    date_hierarchy = "received_at"
    ordering = ["-received_at"]
    acts = (
        Act(
            name="again",
            label="Process again",
            explain="It is acted on as if it came now, within seconds: the provider is asked what is true. What is "
            "booked already stays.",
            form=forms.Form,
            run=act_again,
            states=(),
            permission=Permission.ISSUE_INVOICES,
            preview=facts_of_event,
        ),
        Act(
            name="aside",
            label="Set aside",
            explain="It leaves the work queue, with your note. Nothing else changes.",
            form=NoteForm,
            run=act_aside,
            states=(),
            permission=Permission.ISSUE_INVOICES,
            preview=facts_of_event,
        ),
    )

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """A message has no state of its own: it may always be processed again, and set aside while it is open."""
        is_open = open_problems().filter(pk=row.pk).exists()
        held = [act for act in self.acts if act.permission in held_by(request)]
        return [act for act in held if act.name == "again" or is_open]
