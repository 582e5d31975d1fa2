"""The pay page: one invoice, by a secret link, without an account. A GET changes nothing: mail scanners follow links.

The token in the address is the only authority here, no cookie is, so the forms need no CSRF token; they could not have
one either, because a page without referrer sends its forms with the origin "null".
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import wraps
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from billing.credit_story import credit_on
from billing.disputes import disputes_of, zone_of
from billing.documents import invoice_document, receipt_document
from billing.documents.invoice import invoice_page
from billing.documents.kept import electronic_document
from billing.gateways import GatewayError
from billing.holding import held_of
from billing.models import Invoice, InvoiceBalance, Payment
from billing.pay_links import PayLinkExpiredError, PayLinkUnknownError, ask_for_fresh_link, open_pay_link, pay_url
from billing.payments import NothingDueError, PaymentUnderWayError, amount_due, start_payment
from billing.queries import OPEN
from billing.snapshot import InvoiceSnapshot
from billing.views import pdf
from consortium.kernel.clock import now
from consortium.kernel.money import EXACT
from consortium.kernel.periods import local_date
from consortium.kernel.tenancy import institution_scope

View = Callable[..., HttpResponse]
# Seen by whoever holds the link, so nothing of a signed-in person shows.
ANYONE = {"user": AnonymousUser(), "nav": [], "account_links": []}


@dataclass(frozen=True, kw_only=True)
class PayState:
    """Where paying stands.

    "due", "disputed" (all of it is), "confirming", "pending", "failed", "paid", "credited", "written_off". `held` is
    what of `due` is disputed, `payable` the rest of it; `from_credit` what of `paid` was the member's credit; `is_late`
    when the invoice's day is over.
    """

    code: str
    due: Decimal
    payments: tuple[tuple[Payment, bool], ...]
    held: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)
    credited: Decimal = Decimal(0)
    from_credit: Decimal = Decimal(0)
    is_late: bool = False

    @property
    def payable(self) -> Decimal:
        """What may be paid now."""
        return EXACT.subtract(self.due, self.held)

    @property
    def is_waiting(self) -> bool:
        """Tell whether the page should look again by itself."""
        missing = self.code == "paid" and any(not written for _payment, written in self.payments)
        return self.code == "confirming" or missing


def _quiet(view: View) -> View:
    """Keep the link secret: not indexed, not kept by caches, not told to other sites."""

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["Referrer-Policy"] = "no-referrer"
        response["X-Robots-Tag"] = "noindex, nofollow"
        response["Cache-Control"] = "private, no-store"
        return response

    return page


def linked(view: View) -> View:
    """Open the link; an unknown or expired one has a page of its own."""

    @wraps(view)
    def page(request: HttpRequest, token: str, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            invoice = open_pay_link(token, at=now())
        except PayLinkUnknownError:
            return render(request, "billing/pay_unknown.html", ANYONE, status=404)
        except PayLinkExpiredError:
            return render(request, "billing/pay_expired.html", ANYONE | {"token": token}, status=410)
        return view(request, invoice, token, *args, **kwargs)

    return _quiet(page)


@csrf_exempt
@linked
def pay(request: HttpRequest, invoice: Invoice, token: str) -> HttpResponse:
    """Payee, amount, purchase order, bank details; a POST leads to the provider's page."""
    problem = ""
    if request.method == "POST":
        language = (translation.get_language() or "en")[:2]
        try:
            payment = start_payment(
                invoice,
                return_url=_return_url(token),
                cancel_url=pay_url(token, language),
                language=language,
                at=now(),
            )
            return redirect(payment.session_url)
        except (NothingDueError, PaymentUnderWayError):
            return redirect("pay", token)
        except GatewayError as error:
            problem = error.message
    with institution_scope(invoice.institution_id):
        page = invoice_page(InvoiceSnapshot.from_json(invoice.snapshot))
        context = {
            "invoice": invoice,
            "page": page,
            "token": token,
            "state": _state(invoice),
            "problem": problem,
            "disputes": disputes_of(invoice),
            "xml": [kind for kind in ("ubl", "facturx") if electronic_document(invoice, kind)],
            "done": request.GET.get("done", ""),
        }
        return render(request, "billing/pay.html", ANYONE | context, status=503 if problem else 200)


@require_safe
@linked
def pay_return(request: HttpRequest, invoice: Invoice, token: str) -> HttpResponse:
    """Where the provider sends the payer back to; it looks again until the news has arrived."""
    with institution_scope(invoice.institution_id):
        context = {"invoice": invoice, "token": token, "state": _state(invoice, returned=True)}
        return render(request, "billing/pay_return.html", ANYONE | context)


@require_safe
@linked
def pay_state(request: HttpRequest, invoice: Invoice, token: str) -> HttpResponse:
    """The part of the return page that htmx asks for again and again."""
    with institution_scope(invoice.institution_id):
        context = {"invoice": invoice, "token": token, "state": _state(invoice, returned=True)}
        return render(request, "billing/pay_state.html", ANYONE | context)


@require_safe
@linked
def pay_pdf(request: HttpRequest, invoice: Invoice, token: str) -> HttpResponse:  # noqa: ARG001 - the views' signature
    """The invoice's PDF."""
    with institution_scope(invoice.institution_id):
        return pdf(invoice_document(invoice))


@require_safe
@linked
def pay_receipt(request: HttpRequest, invoice: Invoice, token: str, payment: UUID) -> HttpResponse:  # noqa: ARG001
    """A receipt's PDF, once it is written."""
    with institution_scope(invoice.institution_id):
        found = Payment.objects.filter(pk=payment, invoice=invoice).first()
        if found is None:
            raise Http404
        return pdf(receipt_document(found))


@csrf_exempt
@require_POST
@_quiet
def pay_fresh(request: HttpRequest, token: str) -> HttpResponse:
    """Mail a fresh link to the recorded address; whoever asks is told only that."""
    try:
        ask_for_fresh_link(token, at=now())
    except PayLinkUnknownError:
        return render(request, "billing/pay_unknown.html", ANYONE, status=404)
    return render(request, "billing/pay_expired.html", ANYONE | {"token": token, "sent": True})


def _state(invoice: Invoice, *, returned: bool = False) -> PayState:
    """Say where paying stands. `returned`: the payer comes from the provider, so an open payment is being confirmed."""
    invoice = Invoice.objects.get(pk=invoice.pk)
    balance = InvoiceBalance.objects.get(pk=invoice.pk)
    due, held = amount_due(balance), held_of(balance)
    payments = list(Payment.objects.filter(invoice=invoice).order_by("-created_at"))
    newest = payments[0].status if payments else ""
    shown = tuple((each, receipt_document(each) is not None) for each in payments if each.status == "succeeded")
    code = _code(invoice.status, newest, due, returned=returned)
    return PayState(
        code="disputed" if code == "due" and held >= due else code,
        due=due,
        payments=shown,
        held=held,
        paid=balance.paid,
        credited=balance.credited,
        from_credit=credit_on(invoice),
        is_late=invoice.due_on is not None and local_date(now(), zone_of(invoice)) > invoice.due_on,
    )


def _code(status: str, newest: str, due: Decimal, *, returned: bool) -> str:
    ended = {"paid": "paid", "void": "credited", "written_off": "written_off"}
    if status in ended or status not in OPEN or due <= 0:
        return ended.get(status, "credited")
    if newest == "pending":
        return "pending"
    if returned and newest == "created":
        return "confirming"
    return "failed" if returned and newest == "failed" else "due"


def _return_url(token: str) -> str:
    return str(settings.PUBLIC_URL) + reverse("pay_return", args=[token])
