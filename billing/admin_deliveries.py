"""Staff pages of deliveries: what must be uploaded, what failed, what payers accepted; and mail that came back."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from billing.bounces import handle_bounce
from billing.delivering import mark_accepted, mark_rejected, mark_uploaded, send_again, waiting_deliveries
from billing.models import InvoiceDelivery, MailBounce
from billing.models.deliveries import CHANNELS
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin


class ReferenceForm(forms.Form):
    """What the payer, or its portal, calls it."""

    reference = forms.CharField(label="The payer's reference", max_length=100, required=False)


class RejectForm(forms.Form):
    """Why the payer sends it back."""

    reason = forms.CharField(
        label="Why, in the payer's words", max_length=500, widget=forms.Textarea(attrs={"rows": 3})
    )


class AgainForm(forms.Form):
    """Where it goes now."""

    channel = forms.ChoiceField(label="By", choices=CHANNELS)
    recipient = forms.CharField(label="To: an address, or the portal's page", max_length=500)
    remember = forms.BooleanField(label="Later invoices of this payer go there too", required=False)


class NoteForm(forms.Form):
    """What was done."""

    note = forms.CharField(label="What was done", max_length=300)


def again(row: InvoiceDelivery, *, channel: str, recipient: str, remember: bool, by: Any, at: Any) -> InvoiceDelivery:
    """Send the invoice of a delivery again."""
    return send_again(row.invoice, channel=channel, recipient=recipient, remember=remember, by=by, at=at)


def preview(row: InvoiceDelivery) -> list[tuple[str, object]]:
    """The invoice and every attempt so far."""
    rows = InvoiceDelivery.objects.filter(invoice=row.invoice).order_by("attempt")
    tried = [
        (f"Attempt {each.attempt}", f"{each.channel} {each.recipient}: {each.status} {each.note}") for each in rows
    ]
    orders = row.invoice.po_number or "none"
    return [("Invoice", row.invoice), ("Due on", row.invoice.due_on), ("Purchase order", orders), *tried]


class WaitingFilter(admin.SimpleListFilter):
    """What waits for a person."""

    title = "waits for a person"
    parameter_name = "waiting"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Yes."""
        return [("yes", "yes")]

    def queryset(self, _request: HttpRequest, queryset: Any) -> Any:
        """To be uploaded, or failed and not sent again."""
        return queryset.filter(pk__in=waiting_deliveries().values("pk")) if self.value() else queryset


def _act(name: str, label: str, explain: str, run: Any, *, form: type[forms.Form], states: tuple[str, ...]) -> Act:
    permission = Permission.ISSUE_INVOICES
    start = (lambda row: {"channel": row.channel, "recipient": row.recipient}) if name == "again" else None
    return Act(
        name=name, label=label, explain=explain, run=run, form=form, states=states, permission=permission,
        preview=preview, initial=start,
    )  # fmt: skip


@admin.register(InvoiceDelivery)
class InvoiceDeliveryAdmin(ActingAdmin):
    """How invoices went to their payers."""

    list_display = ["invoice", "attempt", "institution", "channel", "recipient", "status", "sent_at", "reference"]
    list_filter = [WaitingFilter, "status", "channel"]
    search_fields = ["invoice__number", "institution__name_en", "recipient", "reference"]
    list_select_related = ["invoice", "institution"]
    date_hierarchy = "made_at"
    acts = (
        _act(
            "uploaded",
            "Uploaded",
            "It is on the payer's portal.",
            mark_uploaded,
            form=ReferenceForm,
            states=("prepared",),
        ),
        _act(
            "accepted",
            "Accepted",
            "The payer has it in its books.",
            mark_accepted,
            form=ReferenceForm,
            states=("sent",),
        ),
        _act(
            "rejected",
            "Rejected",
            "The payer sends it back; a colleague mends it and sends it again.",
            mark_rejected,
            form=RejectForm,
            states=("sent",),
        ),
        _act(
            "again",
            "Send again",
            "It goes out as a new attempt, with a pay link of its own.",
            again,
            form=AgainForm,
            states=("prepared", "sent", "bounced", "rejected", "refused"),
        ),
    )

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """Only what goes to a portal is uploaded; a mail is on its way by itself."""
        found = super().acts_for(request, row)
        return [act for act in found if act.name != "uploaded" or row.channel == "portal"]


@admin.register(MailBounce)
class MailBounceAdmin(ActingAdmin):
    """Mail that a server refused for good."""

    list_display = ["at", "recipient", "institution", "code", "diagnostic", "status", "handled_by"]
    list_filter = ["status", "code"]
    search_fields = ["recipient", "institution__name_en", "diagnostic"]
    list_select_related = ["institution", "handled_by"]
    date_hierarchy = "at"
    acts = (
        Act(
            name="handled",
            label="Handled",
            explain="Close the task. An invoice is sent again on its delivery's page, which closes it too.",
            form=NoteForm,
            run=handle_bounce,
            states=("open",),
            permission=Permission.ISSUE_INVOICES,
            preview=lambda row: [("Mail", row.mail.subject), ("Refused by", f"{row.code} {row.diagnostic}")],
        ),
    )


def open_bounces() -> int:
    """How many wait for somebody."""
    return MailBounce.objects.filter(status="open").count()
