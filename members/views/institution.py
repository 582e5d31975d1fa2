"""Pages of one institution: its agreements, its tokens."""

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from consortium.kernel import documents
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.language import LANGUAGES, bilingual
from members import agreements, queries
from members.agreement_document import agreement_documents, clauses_html
from members.api_tokens import issue_token, revoke_token
from members.forms import TOKEN_PERMISSIONS, SignForm, TokenForm, show_refusal
from members.models import Agreement, ApiToken, Signature
from members.permissions import Permission
from members.schedule_table import schedule_parts
from members.web import MemberRequest, institution_page


def _agreement(request: MemberRequest, pk: UUID) -> Agreement:
    return get_object_or_404(queries.agreements_of(request.institution), pk=pk)


@institution_page(Permission.VIEW_AGREEMENT)
def agreement(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Read the agreement in either language, sign it, and see who signed when."""
    row = _agreement(request, pk)
    initial = {"name": request.user.name}
    form = SignForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        seen = form.cleaned_data.pop("seen")
        try:
            agreements.sign_agreement(row, **form.cleaned_data, seen_sha256=seen, by=request.user, at=now())
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("Signed. The consortium countersigns, and we write to you then."))
            return redirect("agreement", slug=request.institution.slug, pk=row.pk)
    return _agreement_page(request, row, form)


def _agreement_page(request: MemberRequest, row: Agreement, form: SignForm) -> HttpResponse:
    wanted = form.data.get("language") or request.GET.get("text") or get_language() or ""
    text = wanted if wanted in LANGUAGES else LANGUAGES[0]
    status = 422 if form.errors else 200
    may_sign = row.status == "offered" and Permission.SIGN_AGREEMENT in request.permissions
    context = {
        "institution": request.institution,
        "agreement": row,
        "standing": queries.standing(row),
        "text": text,
        "texts": [(code, {"en": "English", "fr": "Français"}[code]) for code in LANGUAGES],
        "title": bilingual(row, "title", text),
        "clauses": clauses_html(bilingual(row, "clauses", text), level=3),
        "parts": schedule_parts(row, language=text),
        "signatures": list(Signature.objects.filter(agreement=row).order_by("at")),
        "documents": agreement_documents(row),
        "sha256": agreements.content_sha256(row),
        "may_sign": may_sign,
        "form": form,
        "form_errors": bool(form.errors),
    }
    return render(request, "members/agreement.html", context, status=status)


@institution_page(Permission.VIEW_AGREEMENT)
def agreement_document(request: MemberRequest, pk: UUID, language: str) -> HttpResponse:
    """Download the PDF of an agreement in one language, as it was stored."""
    stored = agreement_documents(_agreement(request, pk)).get(language)
    if stored is None:
        raise Http404
    response = HttpResponse(documents.read(stored), content_type=stored.media_type)
    response["Content-Disposition"] = f'attachment; filename="{stored.name}"'
    return response


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
