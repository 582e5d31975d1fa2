"""The page on which a member reads what to accrue before its own year-end, and takes it along as CSV."""

import csv
import io
from datetime import date

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from billing.accrual_estimates import AccrualEstimate, EstimateInvalid, estimates, next_year_end
from consortium.kernel.clock import now
from consortium.kernel.exports import safe_cell
from consortium.kernel.formats import day_text
from consortium.kernel.money import plain
from consortium.kernel.periods import Month, local_date
from members.forms import show_refusal
from members.permissions import Permission
from members.web import MemberRequest, institution_page


class UntilForm(forms.Form):
    """The day up to which service counts."""

    until = forms.DateField(
        label=gettext_lazy("Service up to and including"), widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def accrual(request: MemberRequest) -> HttpResponse:
    """What each billing account should accrue up to a day; the university's next 31 March unless another is named."""
    form, _until, found = _asked(request)
    language = translation.get_language() or "en"
    shown = [
        {
            "row": each,
            "until": day_text(each.until, language=language),
            "basis": ", ".join(Month.parse(month).label(language) for month in each.basis),
        }
        for each in found
    ]
    context = {"form": form, "estimates": shown, "query": request.GET.urlencode()}
    return render(request, "billing/accrual.html", context, status=422 if form.errors else 200)


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def accrual_csv(request: MemberRequest) -> HttpResponse:
    """The same, a row for each month of each account."""
    _form, until, found = _asked(request)
    file = io.StringIO()
    file.write("\N{BYTE ORDER MARK}")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(["until", "payer", "purchase_order", "month", "days", "dues", "other", "net", "currency"])
    for each in found:
        for month in each.months:
            writer.writerow([
                each.until.isoformat(), safe_cell(each.account.name), safe_cell(each.po_number), str(month.month),
                f"{month.days}/{month.of_days}", plain(month.dues), plain(month.other), plain(month.net), each.currency,
            ])  # fmt: skip
    name = f"accrual-{request.institution.slug}-{until.isoformat()}"
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return HttpResponse(file.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def _asked(request: MemberRequest) -> tuple[UntilForm, date, list[AccrualEstimate]]:
    """Read the day and estimate; a day that cannot be one keeps what was typed."""
    at = now()
    until = next_year_end(local_date(at, request.institution.zone))
    form = UntilForm(request.GET) if request.GET else UntilForm(initial={"until": until})
    if form.is_bound:
        if not form.is_valid():
            return form, until, []
        until = form.cleaned_data["until"]
    try:
        return form, until, estimates(request.institution.pk, until=until, at=at)
    except EstimateInvalid as error:
        show_refusal(form, error)
        return form, until, []


__all__ = ["accrual", "accrual_csv"]
