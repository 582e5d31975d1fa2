"""Staff pages of the books: the reports with their CSV, what is done by hand, fiscal years, and the rows to look at."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse

from billing import fiscal_years
from billing.admin_cash_forecast import cash_forecast_urls
from billing.admin_receivables import receivables_urls
from billing.books_acts import BOOKS_ACTS, BooksAct
from billing.books_forms import FilterForm
from billing.models import (
    Accrual,
    BooksCheck,
    Deferral,
    DeferralPart,
    FiscalYear,
    Fund,
    FundMovement,
    Revaluation,
    SupplierBill,
    SupplierPayment,
)
from billing.models import Report as ReportModel
from billing.reports import REPORTS, Filters, Report, Table, to_csv
from billing.reports.tables import Cell
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.formats import money_text, number_text
from consortium.kernel.money import scale
from consortium.kernel.periods import Month, local_date
from members.forms import show_refusal
from members.models import Issuer, User
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin, StaffAdmin, held_by


@admin.register(ReportModel)
class ReportAdmin(StaffAdmin):
    """The list of reports and acts, and a page for each."""

    def get_urls(self) -> list[URLPattern]:
        """The list itself, a page and a CSV per report, a page per act; there are no rows."""
        view = self.admin_site.admin_view
        return [
            path("", view(self.index), name="billing_report_changelist"),
            *receivables_urls(view),
            *cash_forecast_urls(view),
            path("do/<slug:name>/", view(self.act_page), name="billing_report_act"),
            path("<slug:name>.csv", view(self.report_csv), name="billing_report_csv"),
            path("<slug:name>/", view(self.report_page), name="billing_report_page"),
        ]

    def index(self, request: HttpRequest) -> HttpResponse:
        """Every report with what it answers, and what may be done by hand."""
        self._check(request)
        acts = BOOKS_ACTS.values() if Permission.CLOSE_MONTH in held_by(request) else ()
        check = BooksCheck.objects.order_by("-at").first()
        context = {"title": "Reports of the books", "reports": REPORTS.values(), "acts": acts, "check": check}
        return self._render(request, "index", context)

    def report_page(self, request: HttpRequest, name: str) -> HttpResponse:
        """One report for an issuer and some days; wrong days keep what was typed."""
        self._check(request)
        report = _report(name)
        form, filters = _filters(request)
        tables: list[dict[str, Any]] = []
        refusal = ""
        if filters is not None:
            try:
                tables = [_shown(table) for table in report.build(filters)]
            except PortalError as error:
                refusal = error.message
        context = {"title": report.title, "report": report, "form": form, "tables": tables, "refusal": refusal}
        status = 422 if refusal or (filters is None and form.errors) else 200
        return self._render(request, "report", context | {"query": request.GET.urlencode()}, status=status)

    def report_csv(self, request: HttpRequest, name: str) -> HttpResponse:
        """The same tables for a spreadsheet."""
        self._check(request)
        report = _report(name)
        _form, filters = _filters(request)
        if filters is None:
            raise Http404
        file_name = f"{report.name}-{filters.issuer.slug}-{filters.since}-{filters.until}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{file_name}"'}
        return HttpResponse(to_csv(report.build(filters)), content_type="text/csv; charset=utf-8", headers=headers)

    def act_page(self, request: HttpRequest, name: str) -> HttpResponse:
        """Say what an act does, ask what it needs, do it once."""
        self._check(request)
        act = BOOKS_ACTS.get(name)
        if act is None:
            raise Http404
        if Permission.CLOSE_MONTH not in held_by(request):
            raise PermissionDenied
        form = act.form(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid() and (said := _done(act, form, request)):
            self.message_user(request, said, messages.SUCCESS)
            return redirect(reverse("admin:billing_report_changelist"))
        context = {"title": act.label, "act": act, "form": form, "back": reverse("admin:billing_report_changelist")}
        return self._render(request, "act", context, status=422 if form.errors else 200)

    def _check(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _render(self, request: HttpRequest, page: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return render(request, f"billing/admin/books_{page}.html", context, status=status)


def _report(name: str) -> Report:
    if name not in REPORTS:
        raise Http404
    return REPORTS[name]


def _shown(table: Table) -> dict[str, Any]:
    """Write a table's cells as people read them, each column with as many decimals; CSV keeps the bare figures."""
    digits = [
        max((scale(row[index]) for row in table.rows if isinstance(row[index], Decimal)), default=0)  # type: ignore[arg-type]
        for index in range(len(table.columns))
    ]
    rows = [
        [
            {"text": _text(cell, places), "is_money": column.is_money}
            for cell, column, places in zip(row, table.columns, digits, strict=True)
        ]
        for row in table.rows
    ]
    return {"caption": table.caption, "columns": table.columns, "rows": rows, "note": table.note, "tone": table.tone}


def _text(cell: Cell, digits: int) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, Decimal):
        return number_text(cell, language="en", digits=digits)
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def _done(act: BooksAct, form: forms.Form, request: HttpRequest) -> str:
    """Do it, or put what it refused beside the field; returns what to say, "" when it was refused."""
    try:
        return act.run(**form.cleaned_data, by=request.user, at=now())
    except PortalError as error:
        show_refusal(form, error)
        return ""


def _filters(request: HttpRequest) -> tuple[FilterForm, Filters | None]:
    """Read the days; without any, the fiscal year that runs now, or else the calendar year, up to today."""
    if request.GET:
        form = FilterForm(request.GET)
        return form, Filters(**form.cleaned_data) if form.is_valid() else None
    issuer = Issuer.objects.order_by("slug").first()
    if issuer is None:
        return FilterForm(), None
    today = local_date(now(), issuer.zone)
    year = fiscal_years.year_of(issuer, today)
    since = year.valid.lower if year else today.replace(month=1, day=1)
    until = Month.of(today).next().first_day - timedelta(days=1)
    return FilterForm(initial={"issuer": issuer, "since": since, "until": until}), Filters(
        issuer=issuer, since=since, until=until
    )


class LockForm(forms.Form):
    """The year, typed: who locks it has read it."""

    year = forms.CharField(label="Type the year’s first day, such as 2026-01-01", max_length=10)


def _lock(row: FiscalYear, *, year: str, by: User, at: datetime) -> object:
    if year.strip() != row.valid.lower.isoformat():
        raise fiscal_years.YearInvalid(f"The year begins on {row.valid.lower.isoformat()}.", field="year")
    return fiscal_years.lock_year(row, by=by, at=at)


def _preview_year(row: FiscalYear) -> list[tuple[str, object]]:
    """What would be carried to net assets, and what is still open."""
    shown: list[tuple[str, object]] = [
        (f"Result in {currency}", money_text(amount, currency, language="en", code=True))
        for currency, amount in sorted(fiscal_years.result_of(row).items())
    ]
    return shown + [("Still open", sentence) for sentence in fiscal_years.unfinished(row, at=now())]


@admin.register(FiscalYear)
class FiscalYearAdmin(ActingAdmin):
    """Fiscal years, and their lock."""

    list_display = ["valid", "issuer", "status", "locked_at"]
    list_filter = ["status", "issuer"]
    acts = (
        Act(
            name="lock",
            label="Lock",
            explain="The result goes to net assets, and nothing is ever posted into this year again.",
            form=LockForm,
            run=_lock,
            states=("open",),
            permission=Permission.CLOSE_MONTH,
            preview=_preview_year,
            danger=True,
        ),
    )


@admin.register(SupplierBill)
class SupplierBillAdmin(StaffAdmin):
    """Suppliers' bills; recorded by an act of the reports page."""

    list_display = ["supplier", "number", "billed_on", "due_on", "expense_code", "total", "currency"]
    list_filter = ["expense_code", "currency", "issuer"]
    search_fields = ["supplier", "number", "description"]
    date_hierarchy = "billed_on"


@admin.register(SupplierPayment)
class SupplierPaymentAdmin(StaffAdmin):
    """Money that left."""

    list_display = ["paid_on", "bill", "cloud_bill", "amount", "currency", "bank_amount", "bank_currency", "reference"]
    list_select_related = ["bill", "cloud_bill"]
    date_hierarchy = "paid_on"


@admin.register(Accrual)
class AccrualAdmin(StaffAdmin):
    """Accruals; each is taken back on the next day."""

    list_display = ["on", "kind", "account_code", "amount", "currency", "grounds"]
    list_filter = ["kind", "account_code", "issuer"]
    date_hierarchy = "on"


@admin.register(Revaluation)
class RevaluationAdmin(StaffAdmin):
    """Foreign balances at the end of periods."""

    list_display = ["on", "foreign", "rate", "carried", "value", "difference", "currency"]
    list_filter = ["foreign", "issuer"]
    list_select_related = ["rate"]
    date_hierarchy = "on"


class PartInline(admin.TabularInline):  # type: ignore[type-arg] # generic to the type checker alone
    """What is recognised when."""

    model = DeferralPart
    template = "admin/read_only_rows.html"
    fields = ("month", "amount", "currency")
    extra = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Who sees the deferral."""
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody."""
        return False


@admin.register(Deferral)
class DeferralAdmin(StaffAdmin):
    """Income of later months."""

    list_display = ["invoice", "institution", "valid", "amount", "currency", "posted_on"]
    list_select_related = ["invoice", "institution"]
    inlines = [PartInline]


@admin.register(Fund)
class FundAdmin(StaffAdmin):
    """Grants and reserves."""

    list_display = ["code", "kind", "name_en", "giver", "currency", "issuer"]
    list_filter = ["kind", "issuer"]


@admin.register(FundMovement)
class FundMovementAdmin(StaffAdmin):
    """What came in and went out."""

    list_display = ["on", "fund", "amount", "currency", "grounds"]
    list_filter = ["fund"]
    list_select_related = ["fund"]
    date_hierarchy = "on"


@admin.register(BooksCheck)
class BooksCheckAdmin(StaffAdmin):
    """The nightly check."""

    list_display = ["at", "__str__"]
    date_hierarchy = "at"
