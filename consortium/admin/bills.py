"""Staff pages of bills: brought in or rehearsed, entered by hand, placed again, accepted, held to the invoice."""

import tempfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django import forms
from django.contrib import admin
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from billing.bill_report import parts_of
from billing.commitments import commitments_of
from billing.focus import BillRefused
from billing.manual_costs import enter_manual_cost
from billing.models import BillImport, CloudAccount, Commitment, ProviderTotal
from billing.placing import place_again, try_on
from billing.provider_totals import differences, record_provider_total
from billing.unattributed import accept_unattributed
from consortium.admin.cost_forms import AcceptForm, ManualCostForm, ProviderTotalForm, UploadForm
from consortium.admin.tools import Table, ToolAdmin, person_of
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.money import plain
from consortium.kernel.periods import Month
from consortium.usecases.import_bill import import_bill, known_slugs
from members.forms import show_refusal
from members.models import Issuer, User
from members.permissions import Permission
from members.staff_admin import Act, StaffAdmin, held_by


def act_place(row: BillImport, *, by: User, at: datetime) -> object:
    """Place the rows again."""
    return place_again(row, known_slugs(), by=by, at=at)


def act_accept(row: BillImport, *, total: Decimal, reason: str, by: User, at: datetime) -> object:
    """Take responsibility for what no rule claims."""
    return accept_unattributed(row, total=total, reason=reason, by=by, at=at)


def act_state(row: BillImport, *, total: Decimal, reference: str, by: User, at: datetime) -> object:
    """Record the provider's total."""
    account, month = row.cloud_account, Month.parse(row.month)
    return record_provider_total(
        account=account, month=month, total=total, currency=row.currency, reference=reference, by=by, at=at
    )


def preview_bill(row: BillImport) -> list[tuple[str, object]]:
    """Where the bill's money goes."""
    facts: list[tuple[str, object]] = [("Rows", row.rows), ("Total", f"{plain(row.billed_total)} {row.currency}")]
    facts += [(name, f"{plain(amount)} {row.currency}") for name, amount in parts_of(row).items()]
    facts += [("The provider's invoice", difference.message) for difference in differences([row]).values()]
    return facts


def preview_placing(row: BillImport) -> list[tuple[str, object]]:
    """What would move."""
    trial = try_on(row, known_slugs())
    moving = [(f"Line {each.line}, {each.service_name}", placed.because) for each, placed in trial.examples]
    return [("Rows that move", trial.rows), ("Their cost", f"{plain(trial.total)} {trial.currency}"), *moving]


@admin.register(BillImport)
class BillImportAdmin(ToolAdmin):
    """Bills as they came, and what can be done about them."""

    list_display = [
        "cloud_account", "month", "charged_month", "version", "kind", "rows", "billed_total", "currency", "imported_at",
    ]  # fmt: skip
    list_filter = ["charged_month", "kind", "cloud_account"]
    list_select_related = ["cloud_account"]
    tools = (
        ("bring", "Import a bill", Permission.IMPORT_BILLS),
        ("enter", "Enter a cost without a bill", Permission.IMPORT_BILLS),
    )
    acts = (
        Act(
            name="place",
            label="Place its rows again",
            explain="Today's rules place every row, as the next version of the bill. A charged bill stays as it is.",
            form=forms.Form,
            run=act_place,
            states=(),
            permission=Permission.IMPORT_BILLS,
            preview=preview_placing,
        ),
        Act(
            name="accept",
            label="Accept what is unattributed",
            explain="Nobody is billed for what no rule claims. You take responsibility, and your reason is kept.",
            form=AcceptForm,
            run=act_accept,
            states=(),
            permission=Permission.CLOSE_MONTH,
            preview=preview_bill,
            danger=True,
        ),
        Act(
            name="state",
            label="State the provider's total",
            explain="A bill whose rows do not come to the provider's invoice waits, and nobody is billed for it.",
            form=ProviderTotalForm,
            run=act_state,
            states=(),
            permission=Permission.IMPORT_BILLS,
            preview=preview_bill,
        ),
    )

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """What may be done to a bill; a reversal mirrors another one and is left alone."""
        return [act for act in self.acts if row.kind != "reversal" and act.permission in held_by(request)]

    def tool_bring(self, request: HttpRequest) -> HttpResponse:
        """Import an uploaded bill, or rehearse it."""
        form = UploadForm(
            request.POST if request.method == "POST" else None,
            request.FILES or None,
            initial={"issuer": Issuer.objects.first()},
        )
        tables: list[Table] = []
        if request.method == "POST" and form.is_valid():
            try:
                bill, tables = _brought(request, form)
            except BillRefused as refused:
                form.add_error("file", str(refused))
                faults = [(error.line, error.column, error.message) for error in refused.errors]
                tables = [Table(caption="What is wrong", headings=("Line", "Column", "Message"), rows=faults)]
            except PortalError as error:
                show_refusal(form, error)
            else:
                if not form.cleaned_data["rehearse"]:
                    return self.done(request, f"{bill.cloud_account} {bill.month} version {bill.version} is in.")
        return self.tool_page(
            request,
            title="Import a bill",
            explain="All of it is taken in, or nothing. A rehearsal says where the money would go and changes nothing.",
            button="Go",
            form=form,
            tables=tables,
        )

    def tool_enter(self, request: HttpRequest) -> HttpResponse:
        """Enter a cost with its evidence."""
        form = ManualCostForm(
            request.POST if request.method == "POST" else None,
            request.FILES or None,
            initial={"issuer": Issuer.objects.first()},
        )
        if request.method == "POST" and form.is_valid():
            try:
                bill = enter_manual_cost(
                    form.cost(), issuer=form.cleaned_data["issuer"], by=person_of(request), at=now()
                )
            except PortalError as error:
                show_refusal(form, error)
            else:
                return self.done(request, f"{bill.cloud_account} {bill.month} version {bill.version} is entered.")
        return self.tool_page(
            request,
            title="Enter a cost without a bill",
            explain="Staff, licences: the same name and month again replaces it. The evidence is kept for seven years.",
            button="Enter",
            form=form,
        )


def _brought(request: HttpRequest, form: UploadForm) -> tuple[BillImport, list[Table]]:
    """Import what was uploaded; a rehearsal is rolled back. Raises what import_bill raises."""
    data = form.cleaned_data
    with tempfile.TemporaryDirectory() as folder, transaction.atomic():
        file = _kept(data["file"], Path(folder))
        bill = import_bill(
            file,
            issuer=data["issuer"],
            charged_month=str(data["month"] or ""),
            by=person_of(request),
            at=now(),
            account=data["account"].strip(),
            create_account=data["create_account"],
            is_rehearsal=data["rehearse"],
        )
        facts: list[tuple[object, ...]] = [
            fact
            for each in (bill, *bill.siblings)
            for fact in (*preview_bill(each), ("Charged in", each.charged_month))
        ]
        transaction.set_rollback(data["rehearse"])
    return bill, [Table(caption="What would happen", headings=("What", "How much"), rows=facts)]


def _kept(upload: UploadedFile[bytes], folder: Path) -> Path:
    """Write the upload where it can be read twice, under its own name."""
    file = folder / (Path(str(upload.name)).name or "bill.csv")
    with file.open("wb") as out:
        for chunk in upload.chunks():
            out.write(chunk)
    return file


@admin.register(CloudAccount)
class CloudAccountAdmin(StaffAdmin):
    """Accounts at cloud providers."""

    list_display = ["slug", "provider", "billing_account_id", "issuer"]


@admin.register(ProviderTotal)
class ProviderTotalAdmin(StaffAdmin):
    """What the providers' invoices come to."""

    list_display = ["cloud_account", "month", "total", "currency", "reference", "recorded_at"]
    list_filter = ["month", "cloud_account"]


@admin.register(Commitment)
class CommitmentAdmin(StaffAdmin):
    """What was paid up front, and how much of it is left."""

    list_display = ["key", "cloud_account", "currency", "left"]
    list_select_related = ["cloud_account__issuer"]

    @admin.display(description="Left of it")
    def left(self, row: Commitment) -> str:
        """Paid less used, from the bills' rows."""
        stands = {stand.key: stand for stand in commitments_of(row.cloud_account.issuer)}
        return f"{plain(stands[row.key].left)} of {plain(stands[row.key].paid)}"
