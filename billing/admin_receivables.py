"""Staff page of receivables: what members owed at the end of a day by its age, one member's account, both as CSV."""

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path

from billing.books_forms import DayInput
from billing.models import Report
from billing.receivables import BUCKETS, OpenItem, ages, agreement, open_items
from billing.reports.tables import Column, Table, money_columns, to_csv
from billing.statement_of_account import statements
from consortium.kernel.clock import now
from consortium.kernel.formats import number_text
from consortium.kernel.money import exponent
from consortium.kernel.periods import local_date
from members.models import Institution, Issuer
from members.staff_admin import held_by


class AgeForm(forms.Form):
    """Whose books, the day, and one currency or all; the address holds them, so that the page can be shared."""

    issuer = forms.ModelChoiceField(Issuer.objects.order_by("slug"), empty_label=None)
    on = DayInput(label="At the end of")
    currency = forms.RegexField(
        r"^[A-Z]{3}$",
        label="Only in the currency",
        required=False,
        max_length=3,
        error_messages={"invalid": "Three capital letters, such as CAD."},
    )


def receivables_urls(view: Callable[..., Any]) -> list[URLPattern]:
    """Return the addresses of the page, its CSV and a member's account, for the admin class that holds them."""
    return [
        path("receivables-by-age/", view(receivables_page), name="billing_receivables"),
        path("receivables-by-age.csv", view(receivables_csv), name="billing_receivables_csv"),
        path("receivables-by-age/<uuid:institution>/", view(member_page), name="billing_receivables_member"),
    ]


def receivables_page(request: HttpRequest) -> HttpResponse:
    """Each member's open invoices by age, the totals, and the books beside them."""
    form, issuer, on, currency = _asked(request)
    context: dict[str, Any] = {"title": "Receivables by age", "buckets": BUCKETS, "form": form, "on": on}
    if issuer is not None and on is not None:
        items = open_items(issuer, on=on)
        shown = [item for item in items if currency in {"", item.currency}]
        context |= {
            "rows": [
                {"age": age, "amounts": [_text(amount, age.currency) for amount in (*age.amounts, age.total)]}
                for age in ages(shown)
            ],
            "checks": [
                {
                    "check": check,
                    "figures": [
                        _text(each, check.currency) for each in (check.documents, check.books, check.difference)
                    ],
                }
                for check in agreement(issuer, items, on=on)
            ],
            "query": request.GET.urlencode(),
        }
    return _render(request, "receivables", context, status=422 if form.errors else 200)


def receivables_csv(request: HttpRequest) -> HttpResponse:
    """The ages, the check and every open invoice, for a spreadsheet."""
    _form, issuer, on, currency = _asked(request)
    if issuer is None or on is None:
        raise Http404
    items = open_items(issuer, on=on)
    shown = [item for item in items if currency in {"", item.currency}]
    tables = [
        Table(
            caption=f"What members of {issuer} owed on {on.isoformat()}, by days past due",
            columns=(Column("Member"), Column("Currency"), *money_columns(*BUCKETS, "Total")),
            rows=[[age.member, age.currency, *age.amounts, age.total] for age in ages(shown)],
        ),
        Table(
            caption="Do the books agree?",
            columns=(Column("Currency"), *money_columns("Open invoices", "Books", "Difference")),
            rows=[
                [each.currency, each.documents, each.books, each.difference] for each in agreement(issuer, items, on=on)
            ],
        ),
        Table(
            caption="Open invoices",
            columns=(
                Column("Member"), Column("Invoice"), Column("Due on"), Column("Days past due"), Column("Currency"),
                *money_columns("Open"),
            ),
            rows=[[each.member, each.number, each.due_on, each.late, each.currency, each.amount] for each in shown],
        ),
    ]  # fmt: skip
    headers = {"Content-Disposition": f'attachment; filename="receivables-{issuer.slug}-{on.isoformat()}.csv"'}
    return HttpResponse(to_csv(tables), content_type="text/csv; charset=utf-8", headers=headers)


def member_page(request: HttpRequest, institution: UUID) -> HttpResponse:
    """One member's open invoices at the end of the day, and its statement of account for the year up to it."""
    form, issuer, on, currency = _asked(request)
    member = Institution.objects.filter(pk=institution).first()
    if issuer is None or on is None or member is None:
        raise Http404
    items = open_items(issuer, on=on, institution_id=member.pk)
    found = statements(member.pk, first_day=on.replace(month=1, day=1), last_day=on, zone=issuer.zone)
    context = {
        "title": f"What {member.name_en} owed on {on.isoformat()}",
        "form": form,
        "member": member,
        "items": [(item, _item_text(item)) for item in items if currency in {"", item.currency}],
        "statements": [
            {
                "of": each,
                "opening": _text(each.opening, each.currency),
                "closing": _text(each.closing, each.currency),
                "rows": [
                    (row, [_text(amount, each.currency) for amount in (row.charged, row.credited, row.balance)])
                    for row in each.movements
                ],
            }
            for each in found
            if currency in {"", each.currency}
        ],
        "query": request.GET.urlencode(),
    }
    return _render(request, "receivables_member", context)


def _asked(request: HttpRequest) -> tuple[AgeForm, Issuer | None, date | None, str]:
    """What the address asks for; today and the first issuer where it asks for nothing."""
    if not held_by(request):
        raise PermissionDenied
    if request.GET:
        form = AgeForm(request.GET)
        if not form.is_valid():
            return form, None, None, ""
        return form, form.cleaned_data["issuer"], form.cleaned_data["on"], form.cleaned_data["currency"]
    issuer = Issuer.objects.order_by("slug").first()
    if issuer is None:
        return AgeForm(), None, None, ""
    today = local_date(now(), issuer.zone)
    return AgeForm(initial={"issuer": issuer, "on": today}), issuer, today, ""


def _text(amount: Any, currency: str) -> str:
    return number_text(amount, language="en", digits=exponent(currency))


def _item_text(item: OpenItem) -> str:
    return _text(item.amount, item.currency)


def _render(request: HttpRequest, page: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    context = {**admin.site.each_context(request), "opts": Report._meta, **context}  # noqa: SLF001 - its public name
    return render(request, f"billing/admin/{page}.html", context, status=status)
