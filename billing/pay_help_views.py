"""What the pay page offers beside paying: the XML, a link for a colleague, a question, a dispute of a line.

The link is the only authority here too; see billing.pay_views. A GET changes nothing.
"""

from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from billing.disputes import disputable, dispute_of, open_dispute, reply, withdraw_dispute
from billing.documents.invoice import explanation_of
from billing.documents.kept import electronic_document
from billing.models import Invoice, InvoiceLine, LineDispute
from billing.pay_forms import DisputeForm, QuestionForm, ReplyForm, ShareForm
from billing.pay_views import ANYONE, linked
from billing.questions import ask_question, share_link
from billing.snapshot import InvoiceSnapshot
from billing.views import XML_KINDS, xml
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.money import plain
from consortium.kernel.tenancy import institution_scope
from members.forms import show_refusal


@require_safe
@linked
def pay_xml(request: HttpRequest, invoice: Invoice, token: str, kind: str) -> HttpResponse:  # noqa: ARG001
    """The electronic invoice ("ubl" or "facturx"), as it was written at issue."""
    with institution_scope(invoice.institution_id):
        return xml(electronic_document(invoice, kind) if kind in XML_KINDS else None)


@csrf_exempt
@linked
def pay_question(request: HttpRequest, invoice: Invoice, token: str) -> HttpResponse:
    """Ask the consortium something about the invoice."""
    form = QuestionForm(request.POST or None)
    with institution_scope(invoice.institution_id):
        if request.method == "POST" and form.is_valid():
            try:
                ask_question(invoice, **form.cleaned_data, language=_language(), at=now())
            except PortalError as error:
                return _page(request, "question", invoice, token, form=_refused(form, error), status=error.status)
            return _done(token, "asked")
        return _page(request, "question", invoice, token, form=form)


@csrf_exempt
@linked
def pay_share(request: HttpRequest, invoice: Invoice, token: str) -> HttpResponse:
    """Have a colleague sent a link of their own."""
    form = ShareForm(request.POST or None)
    with institution_scope(invoice.institution_id):
        if request.method == "POST" and form.is_valid():
            try:
                share_link(invoice, **form.cleaned_data, language=_language(), at=now())
            except PortalError as error:
                return _page(request, "share", invoice, token, form=_refused(form, error), status=error.status)
            return _done(token, "shared")
        return _page(request, "share", invoice, token, form=form)


@require_safe
@linked
def pay_dispute_choose(request: HttpRequest, invoice: Invoice, token: str) -> HttpResponse:
    """The lines, each with what may be disputed of it."""
    with institution_scope(invoice.institution_id):
        return _page(request, "dispute_choose", invoice, token, lines=disputable(invoice))


@csrf_exempt
@linked
def pay_dispute_line(request: HttpRequest, invoice: Invoice, token: str, line: UUID) -> HttpResponse:
    """One line with its evidence, and the form that disputes it."""
    with institution_scope(invoice.institution_id):
        found = next((each for each in disputable(invoice) if each[0].pk == line), None)
        if found is None:
            raise Http404
        row, left, dispute = found
        if dispute is not None:
            return redirect("pay_dispute", token, dispute.pk)
        form = DisputeForm(request.POST or None, initial={"net": plain(left)}, currency=invoice.currency)
        status = 0
        if request.method == "POST" and form.is_valid():
            try:
                opened = open_dispute(row, **form.cleaned_data, language=_language(), at=now())
            except PortalError as error:
                form, status = _refused(form, error), 422
            else:
                return redirect(reverse("pay_dispute", args=[token, opened.pk]) + "?done=disputed")
        evidence = explanation_of(InvoiceSnapshot.from_json(invoice.snapshot), row.position)
        context = {"line": row, "left": left, "form": form, "evidence": evidence, "taxes": _taxes(row)}
        return _page(request, "dispute_line", invoice, token, status=status, **context)


@csrf_exempt
@linked
def pay_dispute(request: HttpRequest, invoice: Invoice, token: str, pk: UUID) -> HttpResponse:
    """How a dispute stands, what both sides wrote, and the payer's answer."""
    with institution_scope(invoice.institution_id):
        dispute = _dispute(invoice, pk)
        form = ReplyForm(request.POST or None)
        status = 0
        if request.method == "POST" and form.is_valid():
            try:
                reply(dispute, **form.cleaned_data, at=now())
            except PortalError as error:
                form, status = _refused(form, error), error.status
            else:
                return redirect(reverse("pay_dispute", args=[token, pk]) + "?done=replied")
        return _page(request, "dispute", invoice, token, dispute=dispute, form=form, status=status)


@csrf_exempt
@require_POST
@linked
def pay_dispute_withdraw(request: HttpRequest, invoice: Invoice, token: str, pk: UUID) -> HttpResponse:  # noqa: ARG001
    """Take a dispute back."""
    with institution_scope(invoice.institution_id):
        try:
            withdraw_dispute(_dispute(invoice, pk), at=now())
        except PortalError:
            return redirect("pay_dispute", token, pk)  # it ended otherwise meanwhile; its page says how
    return _done(token, "withdrawn")


def _page(
    request: HttpRequest, name: str, invoice: Invoice, token: str, *, status: int = 0, **context: Any
) -> HttpResponse:
    form: Any = context.get("form")
    wrong = bool(form and form.errors)
    known = {"invoice": invoice, "token": token, "form_errors": wrong, "done": request.GET.get("done", "")}
    status = status or (422 if wrong else 200)
    return render(request, f"billing/pay_{name}.html", ANYONE | known | context, status=status)


def _done(token: str, what: str) -> HttpResponse:
    return redirect(f"{reverse('pay', args=[token])}?done={what}")


def _refused[Form: forms.Form](form: Form, error: PortalError) -> Form:
    if error.field and error.field.startswith("line_"):
        error.field = "net"  # a credit names its line; here there is one
    show_refusal(form, error)
    return form


def _dispute(invoice: Invoice, pk: UUID) -> LineDispute:
    found = dispute_of(invoice, pk)
    if found is None:
        raise Http404
    return found


def _taxes(line: InvoiceLine) -> list[Any]:
    return list(line.taxes.exclude(amount=0))


def _language() -> str:
    return (translation.get_language() or "en")[:2]
