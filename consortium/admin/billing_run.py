"""The billing run of a month, for finance staff: look, prepare, approve by a second person, watch, resume.

Nothing goes out before somebody read the totals and typed them. The page says what the database says: it may be closed
and opened again at any point.
"""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse

from billing import runs
from billing.models import BillingPeriod, BillingRun
from billing.periods import open_period
from billing.preflighting import NEVER_ACCEPTED
from consortium.kernel import audit, jobs
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.formats import money_text
from consortium.kernel.periods import Month
from consortium.models import Job
from consortium.usecases.billing_run import RunView, months_to_close, run_view
from consortium.usecases.close_period import approve_and_issue, request_preparation
from members.forms import show_refusal
from members.models import Issuer, User
from members.permissions import Permission
from members.staff_admin import StaffAdmin, held_by


class PrepareForm(forms.Form):
    """What the preparer answers for."""

    early = forms.BooleanField(label="Close the month although it still runs", required=False)
    accepted = forms.MultipleChoiceField(
        label="I take responsibility for", required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, view: RunView, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if view.is_over:
            del self.fields["early"]
        codes = {each.code: each.code for each in view.findings if each.blocking and each.code not in NEVER_ACCEPTED}
        accepted: Any = self.fields["accepted"]
        accepted.choices = list(codes.items())
        if not codes:
            del self.fields["accepted"]


class ApproveForm(forms.Form):
    """The totals, typed: who lets money claims go out has read them."""

    total = forms.CharField(
        label="Type the total of the run, such as 1234.50 CAD",
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


@admin.register(BillingRun)
class BillingRunAdmin(StaffAdmin):
    """Runs, and the page of each month."""

    list_display = [
        "period", "run", "status", "invoices", "sums", "needs_second", "prepared_by", "prepared_at", "approved_by",
    ]  # fmt: skip
    list_filter = ["status", "period__issuer"]
    list_select_related = ["period", "prepared_by", "approved_by"]
    change_list_template = "billing/admin/runs.html"

    @admin.display(description="run", ordering="number")
    def run(self, row: BillingRun) -> int:
        """How often the month's closing began."""
        return row.number

    @admin.display(description="totals")
    def sums(self, row: BillingRun) -> str:
        """What its invoices come to, a sum for each currency."""
        totals = {currency: Decimal(total) for currency, total in row.totals.items()}
        return ", ".join(money_text(total, currency, language="en", code=True) for currency, total in totals.items())

    def get_queryset(self, request: HttpRequest) -> QuerySet[BillingRun]:
        """Runs with their months."""
        found: QuerySet[BillingRun] = super().get_queryset(request).select_related("period__issuer")
        return found

    def get_urls(self) -> list[URLPattern]:
        """Add the page of a month, and what may be done on it."""
        page = self.admin_site.admin_view
        base = "<slug:issuer>/<str:month>/"
        return [
            path("<uuid:object_id>/change/", page(self.change_view)),  # or the next would read it as issuer and month
            path(base, page(self.month_page), name="billing_run"),
            path(base + "progress/", page(self.progress), name="billing_run_progress"),
            path(base + "prepare/", page(self.prepare), name="billing_run_prepare"),
            path(base + "approve/", page(self.approve), name="billing_run_approve"),
            path(base + "withdraw/", page(self.withdraw), name="billing_run_withdraw"),
            path(base + "resume/", page(self.resume), name="billing_run_resume"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List the runs below the months that wait to be closed."""
        context = {**(extra_context or {}), "months": months_to_close(at=now())}
        return super().changelist_view(request, context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead from a run to the page of its month: that is where it is acted on."""
        run = self.get_object(request, object_id)
        if run is None:
            return super().change_view(request, object_id, form_url, extra_context)
        return redirect("admin:billing_run", run.period.issuer.slug, run.period.month)

    # --- The page ----------------------------------------------------------------------------------------------------

    def month_page(self, request: HttpRequest, issuer: str, month: str) -> HttpResponse:
        """What the month would be, is, or was."""
        return self._page(request, _period(issuer, month))

    def progress(self, request: HttpRequest, issuer: str, month: str) -> HttpResponse:
        """The bar alone, while a job runs; when it ends the page is loaded anew."""
        self._check(request, None)
        view = run_view(_period(issuer, month), at=now())
        response = render(request, "billing/admin/run_progress.html", {"view": view})
        if view.job is None or not view.job.is_open:
            response["HX-Refresh"] = "true"
        return response

    def prepare(self, request: HttpRequest, issuer: str, month: str) -> HttpResponse:
        """Want the drafts made."""
        by, period = self._check(request, Permission.CLOSE_MONTH), _period(issuer, month)
        form = PrepareForm(request.POST, view=run_view(period, at=now()))
        if form.is_valid():
            try:
                request_preparation(
                    issuer=period.issuer,
                    month=Month.parse(period.month),
                    early=bool(form.cleaned_data.get("early")),
                    accepted=form.cleaned_data.get("accepted", []),
                    by=by,
                    at=now(),
                )
            except PortalError as error:
                show_refusal(form, error)
            else:
                self.message_user(request, f"{period.month} is being prepared.", messages.SUCCESS)
                return redirect("admin:billing_run", issuer, month)
        return self._page(request, period, prepare=form)

    def approve(self, request: HttpRequest, issuer: str, month: str) -> HttpResponse:
        """Let the prepared invoices go out."""
        by, period = self._check(request, Permission.ISSUE_INVOICES), _period(issuer, month)
        run, form = runs.run_of(period), ApproveForm(request.POST)
        if run is None:
            raise Http404
        if form.is_valid():
            try:
                approve_and_issue(run, totals=form.cleaned_data["total"], by=by, at=now())
            except PortalError as error:
                show_refusal(form, error)
            else:
                self.message_user(request, f"{period.month} is approved: its invoices go out.", messages.SUCCESS)
                return redirect("admin:billing_run", issuer, month)
        return self._page(request, period, approve=form)

    def withdraw(self, request: HttpRequest, issuer: str, month: str) -> HttpResponse:
        """Give the run up."""
        by, period = self._check(request, Permission.CLOSE_MONTH), _period(issuer, month)
        run = runs.run_of(period)
        if run is None:
            raise Http404
        try:
            runs.withdraw_run(run, by=by, at=now())
        except PortalError as error:
            self.message_user(request, error.message, messages.ERROR)
        else:
            self.message_user(request, f"{period.month} is open again.", messages.SUCCESS)
        return redirect("admin:billing_run", issuer, month)

    def resume(self, request: HttpRequest, issuer: str, month: str) -> HttpResponse:
        """Start a stopped job again: it goes on from what is there."""
        by, period = self._check(request, Permission.CLOSE_MONTH), _period(issuer, month)
        view = run_view(period, at=now())
        job = Job.objects.filter(pk=view.job.pk).first() if view.job else None
        if job is None:
            raise Http404
        try:
            jobs.retry(job, at=now())
            audit.record("consortium.job_retried", job, by=by, at=now(), institution_id=None)
        except PortalError as error:
            self.message_user(request, error.message, messages.ERROR)
        return redirect("admin:billing_run", issuer, month)

    def _check(self, request: HttpRequest, permission: Permission | None) -> User:
        """Who may and asks by POST; None: whoever may look."""
        if permission is None:
            if not self.has_view_permission(request):
                raise PermissionDenied
        elif request.method != "POST" or permission not in held_by(request):
            raise PermissionDenied
        by = request.user
        assert isinstance(by, User)  # noqa: S101 - admin_view lets nobody else in
        return by

    def _page(
        self,
        request: HttpRequest,
        period: BillingPeriod,
        *,
        prepare: PrepareForm | None = None,
        approve: ApproveForm | None = None,
    ) -> HttpResponse:
        by, held = self._check(request, None), held_by(request)
        view = run_view(period, at=now())
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Billing run of {view.label}",
            "view": view,
            "prepare": prepare or PrepareForm(view=view),
            "approve": approve or ApproveForm(),
            "may_prepare": Permission.CLOSE_MONTH in held,
            "may_approve": Permission.ISSUE_INVOICES in held,
            "is_second": view.run is not None and view.run.prepared_by_id != by.pk,
            "back": reverse("admin:billing_billingrun_changelist"),
        }
        wrong = bool((prepare and prepare.errors) or (approve and approve.errors))
        return render(request, "billing/admin/run.html", context, status=422 if wrong else 200)


def _period(issuer: str, month: str) -> BillingPeriod:
    """The month, which is made when it is first looked at."""
    row = get_object_or_404(Issuer, slug=issuer)
    try:
        return open_period(row, str(Month.parse(month)))
    except (PortalError, ValueError):
        raise Http404 from None
