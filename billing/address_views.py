"""The member's page of a payer from which mail came back: what, why, and the form for the right address."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from billing.bounced_addresses import BouncedAddress, NothingCameBack, bounced_address, correct_address
from billing.models import BillingAccount
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from members.forms import show_refusal
from members.permissions import Permission
from members.web import MemberRequest, institution_page


class AddressForm(forms.Form):
    """Where invoices go from now on."""

    email = forms.EmailField(label=gettext_lazy("The right address for invoices"), max_length=254)


@require_http_methods(["GET", "HEAD", "POST"])
@institution_page(Permission.VIEW_INVOICES)
def invoice_address(request: MemberRequest, pk: UUID) -> HttpResponse:
    """See what came back from a payer; correct its address, which sends the open invoices there once more."""
    account = BillingAccount.objects.filter(pk=pk, institution=request.institution).first()
    if account is None:
        raise Http404
    may_correct = Permission.CORRECT_BILLING_ADDRESS in request.permissions
    bounced = bounced_address(account)
    if request.method == "POST" and not may_correct:
        raise PermissionDenied
    form = AddressForm(request.POST or None, initial={"email": _likely(account, bounced)})
    if request.method == "POST" and form.is_valid():
        try:
            sent = correct_address(account, email=form.cleaned_data["email"], by=request.user, at=now())
        except NothingCameBack as error:
            messages.info(request, error.message)
            return redirect("invoices", request.institution.slug)
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _done(form.cleaned_data["email"], len(sent)))
            return redirect("invoices", request.institution.slug)
    context = {"account": account, "bounced": bounced, "form": form, "may_correct": may_correct}
    return render(request, "billing/invoice_address.html", context, status=422 if form.errors else 200)


def _likely(account: BillingAccount, bounced: BouncedAddress | None) -> Any:
    """The account's address, where it is another one than that which failed: then it was corrected meanwhile."""
    same = bounced is None or account.email.casefold() == bounced.last.recipient.casefold()
    return "" if same else account.email


def _done(place: str, sent: int) -> str:
    """What will happen now."""
    words = _("Invoices go to %(place)s from now on.") % {"place": place}
    if not sent:
        return words
    more = ngettext(
        "%(count)d invoice that came back is sent there now.",
        "%(count)d invoices that came back are sent there now.",
        sent,
    )
    return f"{words} {more % {'count': sent}}"
