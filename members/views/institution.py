"""Pages of one institution: its people, its tokens."""

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
from members import queries
from members.api_tokens import issue_token, revoke_token
from members.forms import TOKEN_PERMISSIONS, SeatForm, TokenForm, show_refusal
from members.models import ApiToken, Seat
from members.people import add_seat, end_seat, person_by_email
from members.permissions import Permission
from members.web import MemberRequest, institution_page


@institution_page(Permission.VIEW_PEOPLE)
def people(request: MemberRequest) -> HttpResponse:
    """Who acts for the institution; owners give roles to people who have an account."""
    form = SeatForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            person = person_by_email(form.cleaned_data["email"])
            role = form.cleaned_data["role"]
            add_seat(institution=request.institution, user=person, role=role, by=request.user, at=now())
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("%(person)s has a role now, and was told by mail.") % {"person": person})
            return redirect("people", slug=request.institution.slug)
    context = {
        "institution": request.institution,
        "people": queries.people_at(request.institution, me=request.user),
        "may_manage": Permission.MANAGE_PEOPLE in request.permissions,
        "form": form,
        "form_errors": bool(form.errors),
    }
    return render(request, "members/people.html", context, status=422 if form.errors else 200)


@institution_page(Permission.VIEW_PEOPLE)
def seat_end(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Ask, then end a seat."""
    seat = get_object_or_404(Seat.objects.select_related("user"), pk=pk, institution=request.institution, ended_at=None)
    problem, status = "", 200
    if request.method == "POST":
        try:
            end_seat(seat, by=request.user, at=now())
        except PortalError as error:
            problem, status = error.message, error.status
        else:
            messages.success(request, _("The seat has ended."))
            if seat.user_id == request.user.pk:
                return redirect("home")
            return redirect("people", slug=request.institution.slug)
    context = {
        "institution": request.institution,
        "seat": seat,
        "role": queries.role_words(seat.role),
        "problem": problem,
    }
    return render(request, "members/seat_end.html", context, status=status)


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
