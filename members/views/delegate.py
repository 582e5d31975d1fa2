"""The delegate's page: read one agreement and sign it, by a secret link, without an account. A GET changes nothing.

The token in the address is the only authority here, no cookie is, so the forms need no CSRF token; they could not have
one either, because a page without referrer sends its forms with the origin "null".
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import institution_scope
from members import agreements
from members.agreement_forms import DelegateSignForm
from members.agreement_pages import comparisons, text_context
from members.forms import show_refusal
from members.models import Agreement, SigningInvitation
from members.views.agreement import wanted_text

# Seen by whoever holds the link, so nothing of a signed-in person shows.
ANYONE = {"user": AnonymousUser(), "nav": [], "account_links": []}


def _linked(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Open the link, in its institution's scope; keep it secret; an unknown or used one has a page of its own."""

    @wraps(view)
    def page(request: HttpRequest, token: str) -> HttpResponse:
        try:
            invitation = agreements.open_invitation(token, at=now())
        except (agreements.InvitationUnknown, agreements.InvitationOver) as error:
            response = render(request, "members/sign_over.html", ANYONE | {"problem": error}, status=error.status)
        else:
            with institution_scope(invitation.institution_id):
                response = view(request, invitation, token)
        response["Referrer-Policy"] = "no-referrer"
        response["X-Robots-Tag"] = "noindex, nofollow"
        response["Cache-Control"] = "private, no-store"
        return response

    return page


@csrf_exempt
@_linked
def sign(request: HttpRequest, invitation: SigningInvitation, token: str) -> HttpResponse:
    """Read the agreement in either language, see what changed, sign."""
    row = Agreement.objects.select_related("institution", "issuer", "follows").get(pk=invitation.agreement_id)
    if row.status != "offered":
        return render(request, "members/sign_waits.html", ANYONE | {"agreement": row}, status=409)
    form = DelegateSignForm(request.POST or None, initial={"name": invitation.name})
    if request.method == "POST" and form.is_valid():
        values = {**form.cleaned_data, "seen_sha256": form.cleaned_data["seen"]}
        del values["seen"]
        try:
            signature = agreements.sign_as_delegate(invitation, **values, at=now())
        except PortalError as error:
            show_refusal(form, error)
        else:
            return render(request, "members/sign_done.html", ANYONE | {"agreement": row, "signature": signature})
    text = wanted_text(form, request.GET.get("text"))
    french_first = agreements.needs_french_first(row.institution)
    context: dict[str, Any] = {
        "agreement": row,
        "invitation": invitation,
        "token": token,
        **text_context(row, language=text),
        "sha256": agreements.content_sha256(row),
        "comparisons": [each for each in comparisons(row) if not each.is_empty],
        "french_first": french_first,
        "french": agreements.french_delivery(row, invitation=invitation),
        "consent": agreements.consent_text(text, after_french=french_first and text != "fr"),
        "form": form,
        "form_errors": bool(form.errors),
    }
    return render(request, "members/sign.html", ANYONE | context, status=422 if form.errors else 200)


@csrf_exempt
@require_POST
@_linked
def sign_french(request: HttpRequest, invitation: SigningInvitation, token: str) -> HttpResponse:  # noqa: ARG001
    """Hand the French text over, and record it; then show it."""
    row = Agreement.objects.select_related("institution").get(pk=invitation.agreement_id)
    try:
        agreements.deliver_text(row, language="fr", invitation=invitation, at=now())
    except PortalError:
        return redirect("agreement_sign", token)  # its page says what is the matter
    response = redirect("agreement_sign", token)
    response["Location"] += "?text=fr"
    return response
