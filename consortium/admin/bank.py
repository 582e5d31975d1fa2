"""Staff pages of our bank: statements imported, lines reconciled, payments entered by hand."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse

from billing.bank_files import ReadStatement
from billing.bank_import import import_statement, look_into
from billing.bank_matching import (
    accept,
    accept_as_credit,
    accept_payout,
    accept_recorded,
    park,
    take_up,
    undo_match,
)
from billing.bank_queue import (
    accept_suggestion,
    match_by_itself,
    payout_candidates,
    recorded_candidates,
    suggestions_for,
    waiting_lines,
)
from billing.by_hand import HandPayment, record_by_hand
from billing.models import BankAccount, BankLine, BankMatch, BankStatement
from consortium.admin.bank_forms import (
    CreditForm,
    HandForm,
    ImportForm,
    MappingForm,
    ParkForm,
    SplitForm,
    UndoForm,
    parts_of,
)
from consortium.admin.tools import Table, ToolAdmin, person_of
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.formats import money_text
from consortium.kernel.money import plain
from members.admin_inlines import ReadOnlyInline
from members.forms import show_refusal
from members.models import Institution, User
from members.permissions import Permission
from members.staff_admin import Act, StaffAdmin, held_by

P = Permission.RECONCILE_PAYMENTS


def act_split(row: BankLine, *, parts: str, by: User, at: datetime) -> object:
    """Match it with several invoices."""
    return accept(row, parts_of(row, parts), by=by, at=at, because="split by hand")


def act_credit(row: BankLine, *, institution: Institution, by: User, at: datetime) -> object:
    """Keep it as a member's credit."""
    return accept_as_credit(row, institution, by=by, at=at)


def preview_line(row: BankLine) -> list[tuple[str, object]]:
    """What the bank says."""
    shown = money_text(row.amount, row.currency, language="en", code=True)
    said = [("Day", row.booked_on), ("Amount", shown), ("Payer", row.payer), ("From account", row.payer_account)]
    return [*said, ("Text", row.text), ("Bank's reference", row.bank_reference), *_told(row)]


def first_suggestion(row: BankLine) -> dict[str, Any]:
    """The likeliest one, to begin with."""
    found = suggestions_for(row)[:1]
    return {"parts": f"{found[0].invoices[0].number} {plain(row.amount)}"} if found else {}


def _told(row: BankLine) -> list[tuple[str, object]]:
    live = row.matches.filter(undone_at=None).select_related("payment__invoice")
    return [("Matched with", f"{each}, {each.payment.invoice if each.payment else ''}") for each in live]


@admin.register(BankAccount)
class BankAccountAdmin(StaffAdmin):
    """Our accounts, and from which confidence on a match is accepted by itself."""

    editor = P
    list_display = ["name", "issuer", "number", "currency", "accept_from"]
    readonly_fields = ["csv_mapping"]


@admin.register(BankStatement)
class BankStatementAdmin(StaffAdmin):
    """What was imported."""

    list_display = ["file_name", "account", "format", "line_count", "new_lines", "opening", "closing", "imported_at"]
    list_filter = ["account", "format"]
    list_select_related = ["account"]
    date_hierarchy = "imported_at"


@admin.register(BankLine)
class BankLineAdmin(ToolAdmin):
    """Reconcile: each line with what it may be and why; accept, split, park, undo."""

    list_display = ["booked_on", "status", "amount", "currency", "payer", "text", "account"]
    list_filter = ["status", "account", "currency"]
    list_select_related = ["account"]
    search_fields = ["payer", "text", "bank_reference", "payer_account"]
    date_hierarchy = "booked_on"
    change_form_template = "billing/admin/bank_line.html"
    exclude = ("fingerprint", "occurrence")
    tools = (
        ("bring", "Import a statement", P),
        ("columns", "Say how an account's CSV files are read", P),
        ("hand", "Enter a cheque or wire", P),
    )
    acts = (
        Act(name="split", label="Split", explain="One invoice per line: its number, then the part of the money. Less "
            "than is due leaves the rest due; more becomes the member's credit. “fee=15.00” adds what a bank kept; "
            "“credited=1000.00” says what an invoice in another currency is credited with.", form=SplitForm,
            run=act_split, states=("open",), permission=P, preview=preview_line, initial=first_suggestion),
        Act(name="credit", label="Keep as credit", explain="It pays no invoice: all of it becomes the member's credit, "
            "which later pays invoices or is paid out.", form=CreditForm, run=act_credit, states=("open",),
            permission=P, preview=preview_line),
        Act(name="park", label="Park", explain="It is nobody's payment, or not yet known: it leaves the queue, with "
            "your reason.", form=ParkForm, run=park, states=("open",), permission=P, preview=preview_line),
        Act(name="take-up", label="Take up again", explain="It returns to the queue.", form=UndoForm.bare,
            run=take_up, states=("parked",), permission=P, preview=preview_line),
        Act(name="undo", label="Undo", explain="All it was matched with is reversed: invoices are due again, credit is "
            "gone, the books show both entries. Nothing is deleted.", form=UndoForm, run=undo_match,
            states=("matched",), permission=P, preview=preview_line, danger=True),
    )  # fmt: skip

    class Matches(ReadOnlyInline):
        """What it was matched with, and what of that was undone."""

        model = BankMatch
        fields = ("at", "kind", "amount", "currency", "payment", "because", "by", "undone_at", "undone_because")

    inlines = [Matches]

    def get_urls(self) -> list[URLPattern]:
        """Add where a suggestion is accepted."""
        view = self.admin_site.admin_view(self.accept_page)
        return [path("<uuid:pk>/accept/", view, name="billing_bankline_accept"), *super().get_urls()]

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """Money that left is only looked at."""
        return super().acts_for(request, row) if row.amount > 0 else []

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the line with its suggestions."""
        row = self.get_object(request, object_id)
        shown = isinstance(row, BankLine) and row.status == "open" and row.amount > 0
        found = _choices(row) if isinstance(row, BankLine) and shown else []
        told: dict[str, Any] = {"suggestions": found, "may_accept": P in held_by(request)}
        told |= {"is_waiting": shown, "left": waiting_lines().count()}
        return super().change_view(request, object_id, form_url, {**told, **(extra_context or {})})

    def accept_page(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Accept what was suggested, then show the next line that waits."""
        row = self.get_object(request, str(pk))
        if row is None or request.method != "POST":
            raise Http404
        if P not in held_by(request):
            raise PermissionDenied
        try:
            _accept(row, request.POST.get("key", ""), with_fee=bool(request.POST.get("fee")), by=person_of(request))
        except PortalError as error:
            self.message_user(request, error.message, messages.ERROR)
            return redirect(reverse("admin:billing_bankline_change", args=[pk]))
        self.message_user(request, f"{row} is matched. It can be undone on its page.", messages.SUCCESS)
        following = waiting_lines().first()
        if following is None:
            return redirect(reverse("admin:billing_bankline_changelist"))
        return redirect(reverse("admin:billing_bankline_change", args=[following.pk]))

    def tool_bring(self, request: HttpRequest) -> HttpResponse:
        """Import a file, or look into it first."""
        sent = request.method == "POST"
        form = ImportForm(request.POST if sent else None, request.FILES if sent else None)
        tables: list[Table] = []
        if sent and form.is_valid():
            account, upload = form.cleaned_data["account"], form.cleaned_data["file"]
            try:
                if form.cleaned_data["only_look"]:
                    tables = [_table(each) for each in look_into(account, upload.read())]
                else:
                    return self._imported(request, account, upload)
            except PortalError as error:
                show_refusal(form, error)
        return self.tool_page(
            request, title="Import a bank statement", button="Go on", form=form, tables=tables,
            explain="CAMT.053, OFX, BAI2 or CSV. A file is kept whole or not at all; the same one again, or one that "
            "overlaps, doubles nothing.",
        )  # fmt: skip

    def _imported(self, request: HttpRequest, account: BankAccount, upload: Any) -> HttpResponse:
        at = now()
        done = import_statement(account, upload.read(), file_name=upload.name or "", by=person_of(request), at=at)
        matched = match_by_itself(done.lines, at=at)
        words = f"{len(done.lines)} new lines, {done.known} known already; {matched} matched by themselves."
        return self.done(request, words)

    def tool_columns(self, request: HttpRequest) -> HttpResponse:
        """Try a mapping on a file, and save it when it reads well."""
        sent = request.method == "POST"
        form = MappingForm(request.POST if sent else None, request.FILES if sent else None)
        tables: list[Table] = []
        if sent and form.is_valid():
            account = form.cleaned_data["account"]
            account.csv_mapping = form.mapping()
            try:
                tables = [_table(each) for each in look_into(account, form.cleaned_data["file"].read())]
            except PortalError as error:
                show_refusal(form, error)
            else:
                if form.cleaned_data["save"]:
                    account.save(update_fields=["csv_mapping"])
                    return self.done(request, f"CSV files of {account} are read like this from now on.")
        return self.tool_page(
            request, title="How an account's CSV files are read", button="Try it", form=form, tables=tables,
            explain="Name the columns as the file's first line does. The lines are shown before anything is saved.",
        )  # fmt: skip

    def tool_hand(self, request: HttpRequest) -> HttpResponse:
        """Enter a payment with its proof."""
        sent = request.method == "POST"
        form = HandForm(request.POST if sent else None, request.FILES if sent else None)
        if sent and form.is_valid():
            told, proof = form.cleaned_data, form.cleaned_data["proof"]
            payment = HandPayment(
                amount=told["amount"], received_on=told["received_on"], method=told["method"],
                reference=told["reference"], proof=proof.read(), proof_name=proof.name or "proof",
            )  # fmt: skip
            try:
                row = record_by_hand(told["invoice"], payment, by=person_of(request), at=now())
            except PortalError as error:
                show_refusal(form, error)
            else:
                return self.done(request, f"{row.amount} {row.currency} is put on {row.invoice}.")
        return self.tool_page(
            request, title="Enter a cheque or wire", button="Record it", form=form,
            explain="For money whose bank line is not here yet. When it comes, match the line with this payment.",
        )  # fmt: skip


def _choices(row: BankLine) -> list[dict[str, object]]:
    """What the line may be, as the page shows it: payouts and payments entered before come first."""

    def shown(amount: Any, currency: str) -> str:
        return money_text(amount, currency, language="en", code=True)

    found: list[dict[str, object]] = [
        {"key": f"payout:{each.pk}", "what": f"Payout {each.provider_id}", "who": "Stripe", "confidence": 95,
         "due": shown(each.amount, each.currency), "reasons": ["a payout of exactly this amount is on its way"]}
        for each in payout_candidates(row)
    ]  # fmt: skip
    found += [
        {"key": f"recorded:{each.pk}", "what": f"{each.get_provider_display()}: {each.invoice}", "confidence": 90,
         "who": each.invoice.institution.name_en, "due": shown(each.amount, each.currency),
         "reasons": ["it was entered by hand, with this amount, near this day"]}
        for each in recorded_candidates(row)
    ]  # fmt: skip
    found += [
        {
            "key": each.key, "what": ", ".join(one.number for one in each.invoices), "who": each.invoices[0].member,
            "due": " + ".join(shown(one.due, one.currency) for one in each.invoices), "confidence": each.confidence,
            "reasons": each.reasons, "other_currency": each.invoices[0].currency != row.currency,
            "may_be_fee": 0 < each.short <= 60,
            "outcome": f"{shown(each.over, row.currency)} to credit" if each.over
            else f"{shown(each.short, row.currency)} stays due" if each.short else "paid in full",
        }
        for each in suggestions_for(row)
    ]  # fmt: skip
    return found


def _accept(row: BankLine, key: str, *, with_fee: bool, by: User) -> None:
    kind, _colon, rest = key.partition(":")
    at = now()
    if kind == "payout" and rest:
        chosen = next((each for each in payout_candidates(row) if str(each.pk) == rest), None)
        if chosen is not None:
            accept_payout(row, chosen, by=by, at=at)
            return
    elif kind == "recorded" and rest:
        payment = next((each for each in recorded_candidates(row) if str(each.pk) == rest), None)
        if payment is not None:
            accept_recorded(row, payment, by=by, at=at)
            return
    accept_suggestion(row, key, with_fee=with_fee, by=by, at=at)


def _table(statement: ReadStatement) -> Table:
    rows = [(each.booked_on, plain(each.amount), each.payer, each.text, each.place) for each in statement.lines[:50]]
    more = f", the first 50 of {len(statement.lines)}" if len(statement.lines) > 50 else ""
    return Table(
        caption=f"{len(statement.lines)} lines in {statement.currency}{more}",
        headings=("Day", "Amount", "Payer", "Text", "Place"),
        rows=rows,
        empty="No line.",
    )
