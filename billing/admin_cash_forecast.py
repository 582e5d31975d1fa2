"""Staff page of the cash forecast: thirteen weeks by currency as table, chart and CSV, and each amount's grounds."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path

from billing.books_forms import DayInput
from billing.cash_forecast import RESTS_ON, Forecast
from billing.cash_forecast_rows import read_forecast
from billing.models import Report
from billing.reports.tables import Column, Table, money_columns, to_csv
from consortium.kernel.charts import Chart, Series, stacked_columns, ticks_for
from consortium.kernel.clock import now
from consortium.kernel.formats import number_text
from consortium.kernel.money import exponent
from consortium.kernel.periods import local_date
from members.models import Issuer
from members.staff_admin import held_by


class ForecastForm(forms.Form):
    """Whose books, and the first day; the address holds them, so that the page can be shared."""

    issuer = forms.ModelChoiceField(Issuer.objects.order_by("slug"), empty_label=None)
    on = DayInput(label="Thirteen weeks from")


def cash_forecast_urls(view: Callable[..., Any]) -> list[URLPattern]:
    """Return the addresses of the page and its CSV, for the admin class that holds them."""
    return [
        path("cash-forecast/", view(forecast_page), name="billing_cash_forecast"),
        path("cash-forecast.csv", view(forecast_csv), name="billing_cash_forecast_csv"),
    ]


def forecast_page(request: HttpRequest) -> HttpResponse:
    """Each currency's weeks, drawn and as a table, and below them every amount with what it rests on."""
    form, issuer, on = _asked(request)
    context: dict[str, Any] = {"title": "Cash forecast", "form": form, "on": on, "bases": RESTS_ON}
    if issuer is not None and on is not None:
        found = read_forecast(issuer, on=on)
        context |= {"forecasts": [_shown(each) for each in found], "query": request.GET.urlencode()}
    context = {**admin.site.each_context(request), "opts": Report._meta, **context}  # noqa: SLF001 - its public name
    return render(request, "billing/admin/cash_forecast.html", context, status=422 if form.errors else 200)


def forecast_csv(request: HttpRequest) -> HttpResponse:
    """The weeks of every currency, and every amount, for a spreadsheet."""
    _form, issuer, on = _asked(request)
    if issuer is None or on is None:
        raise Http404
    found = read_forecast(issuer, on=on)
    weeks = Table(
        caption=f"What members of {issuer} are expected to pay, from {on.isoformat()}",
        columns=(Column("Currency"), Column("From"), Column("To"), *money_columns(*RESTS_ON, "Total")),
        rows=[row for each in found for row in _week_rows(each)],
    )
    amounts = Table(
        caption="What each amount rests on",
        columns=(
            Column("Expected on"), Column("Member"), Column("Invoice"), Column("Due on"), Column("Currency"),
            *money_columns("Amount"), Column("Rests on"), Column("Why"),
        ),
        rows=[
            [row.day, row.member, row.number, row.due_on, row.currency, row.amount, row.rests_on, row.why]
            for each in found for row in each.rows
        ],
    )  # fmt: skip
    headers = {"Content-Disposition": f'attachment; filename="cash-forecast-{issuer.slug}-{on.isoformat()}.csv"'}
    return HttpResponse(to_csv([weeks, amounts]), content_type="text/csv; charset=utf-8", headers=headers)


def _week_rows(each: Forecast) -> list[list[Any]]:
    blank = [None] * len(RESTS_ON)
    return [
        *[[each.currency, week.first_day, week.last_day, *week.amounts, week.total] for week in each.weeks],
        [each.currency, "Later", None, *blank, each.later],
        [each.currency, "No date", None, *blank, each.no_date],
        [each.currency, "All that is due", None, *blank, each.total],
    ]


def _shown(each: Forecast) -> dict[str, Any]:
    """A currency's figures as people read them."""
    ends = (("Later", each.later), ("No date", each.no_date), ("All that is due", each.total))
    return {
        "currency": each.currency,
        "chart": _chart(each),
        "weeks": [
            (week, [_text(amount, each.currency) for amount in (*week.amounts, week.total)]) for week in each.weeks
        ],
        "ends": [(label, _text(amount, each.currency)) for label, amount in ends],
        "rows": [(row, _text(row.amount, each.currency)) for row in each.rows],
    }


def _chart(each: Forecast) -> Chart:
    series = [
        Series(
            name=basis,
            values=[week.amounts[place] for week in each.weeks],
            texts=[_text(week.amounts[place], each.currency) for week in each.weeks],
        )
        for place, basis in enumerate(RESTS_ON)
    ]
    return stacked_columns(
        title=f"Expected by week, in {each.currency}",
        description=f"Thirteen weeks from {each.weeks[0].first_day}, by what each amount rests on.",
        label_heading="Week from",
        categories=[week.first_day.isoformat() for week in each.weeks],
        short_categories=[
            f"{week.first_day:%m-%d}" if not number % 3 else "" for number, week in enumerate(each.weeks)
        ],
        series=series,
        tick_texts=[number_text(Decimal(str(tick)), language="en") for tick in ticks_for(series)],
    )


def _asked(request: HttpRequest) -> tuple[ForecastForm, Issuer | None, date | None]:
    """What the address asks for; today and the first issuer where it asks for nothing."""
    if not held_by(request):
        raise PermissionDenied
    if request.GET:
        form = ForecastForm(request.GET)
        if not form.is_valid():
            return form, None, None
        return form, form.cleaned_data["issuer"], form.cleaned_data["on"]
    issuer = Issuer.objects.order_by("slug").first()
    if issuer is None:
        return ForecastForm(), None, None
    today = local_date(now(), issuer.zone)
    return ForecastForm(initial={"issuer": issuer, "on": today}), issuer, today


def _text(amount: Decimal, currency: str) -> str:
    return number_text(amount, language="en", digits=exponent(currency))
