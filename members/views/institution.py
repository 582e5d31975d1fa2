"""Pages of one institution: the tokens of its programs."""

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from members.api_tokens import issue_token, revoke_token
from members.forms import TOKEN_PERMISSIONS, TokenForm, show_refusal
from members.models import ApiToken
from members.permissions import Permission
from members.web import MemberRequest, institution_page


@never_cache
@institution_page(Permission.MANAGE_TOKENS)
def tokens(request: MemberRequest) -> HttpResponse:
    """Tokens of programs; a new one's secret is shown in the answer to its form, and never again."""
    form = TokenForm(request.POST or None, held=request.permissions)
    secret = ""
    if request.method == "POST" and form.is_valid():
        at = now()
        wanted = [Permission(word) for word in form.cleaned_data["permissions"]]
        try:
            _token, secret = issue_token(
                institution=request.institution,
                name=form.cleaned_data["name"],
                permissions=wanted,
                expires_at=at + timedelta(days=form.cleaned_data["days"]),
                by=request.user,
                at=at,
            )
        except PortalError as error:
            show_refusal(form, error)
        else:
            form = TokenForm(held=request.permissions)
    context = {
        "institution": request.institution,
        "tokens": _token_rows(request),
        "secret": secret,
        "form": form,
        "form_errors": bool(form.errors),
    }
    return render(request, "members/tokens.html", context, status=422 if form.errors else 200)


def _token_rows(request: MemberRequest) -> list[tuple[ApiToken, bool, list[str]]]:
    rows = ApiToken.objects.filter(institution=request.institution).select_related("created_by").order_by("-created_at")
    words = {wanted.value: str(text) for wanted, text in TOKEN_PERMISSIONS.items()}
    at = now()
    return [
        (row, row.revoked_at is None and row.expires_at > at, [words.get(word, word) for word in row.permissions])
        for row in rows
    ]


@require_POST
@institution_page(Permission.MANAGE_TOKENS)
def token_revoke(request: MemberRequest, pk: UUID) -> HttpResponse:
    """End a token now."""
    token = get_object_or_404(ApiToken, pk=pk, institution=request.institution)
    revoke_token(token, by=request.user, at=now())
    messages.success(request, _("The token has ended."))
    return redirect("tokens", slug=request.institution.slug)
