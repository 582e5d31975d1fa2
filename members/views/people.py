"""The people of one institution: seats and their yearly review, invitations, the passing on of ownership."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from members import ownership, queries
from members.access_answers import waiting_at
from members.forms import show_refusal
from members.invitations import invite, resend_invitation, revoke_invitation
from members.models import Invitation, OwnershipOffer, Seat, User
from members.people import change_role, confirm_seat, end_seat
from members.people_forms import InviteForm, OwnershipForm, RoleForm
from members.permissions import Permission
from members.roles import Role
from members.web import MemberRequest, institution_page


@institution_page(Permission.VIEW_PEOPLE)
def people(request: MemberRequest) -> HttpResponse:
    """Who acts for the institution, and who is invited; owners invite."""
    form = InviteForm(request.POST or None, initial={"language": request.institution.language})
    if request.method == "POST" and form.is_valid():
        try:
            invitation = invite(institution=request.institution, **form.cleaned_data, by=request.user, at=now())
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("The invitation to %(email)s is on its way.") % {"email": invitation.email})
            return redirect("people", slug=request.institution.slug)
    may_manage = Permission.MANAGE_PEOPLE in request.permissions
    context = {
        "institution": request.institution,
        "people": queries.people_at(request.institution, me=request.user),
        "invitations": queries.invitations_of(request.institution, at=now()) if may_manage else [],
        "askers": waiting_at(request.institution) if may_manage else [],
        "offers": list(queries.ownership_offers_of(request.institution)) if may_manage else [],
        "may_manage": may_manage,
        "now": now(),
        "form": form,
        "form_errors": bool(form.errors),
    }
    return render(request, "members/people.html", context, status=422 if form.errors else 200)


def _live_seat(request: MemberRequest, pk: UUID) -> Seat:
    rows = Seat.objects.select_related("user", "institution")
    return get_object_or_404(rows, pk=pk, institution=request.institution, ended_at=None)


@institution_page(Permission.MANAGE_PEOPLE)
def seat(request: MemberRequest, pk: UUID) -> HttpResponse:
    """One person's seat: another role, the yearly confirmation, its end."""
    row = _live_seat(request, pk)
    form = RoleForm(request.POST or None, initial={"role": row.role})
    if request.method == "POST" and form.is_valid():
        try:
            change_role(row, role=form.cleaned_data["role"], by=request.user, at=now())
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(
                request, _("%(person)s has another role now, and was told by mail.") % {"person": row.user}
            )
            # Who gave up the own ownership may not see this page any more, but the list's door says so politely.
            return redirect(
                "institution" if row.user_id == request.user.pk else "people", slug=request.institution.slug
            )
    person = next(each for each in queries.people_at(request.institution, me=request.user) if each.seat.pk == row.pk)
    context = {
        "institution": request.institution,
        "person": person,
        "is_due": person.review_due <= now(),
        "form": form,
        "form_errors": bool(form.errors),
    }
    return render(request, "members/seat.html", context, status=422 if form.errors else 200)


@require_POST
@institution_page(Permission.MANAGE_PEOPLE)
def seat_confirm(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Say that the seat is still needed."""
    row = _live_seat(request, pk)
    return _done(request, lambda: confirm_seat(row, by=request.user, at=now()), _("Confirmed for another year."))


@institution_page(Permission.VIEW_INSTITUTION)
def seat_end(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Ask, then end a seat: an owner anybody's, everybody the own."""
    row = _live_seat(request, pk)
    if row.user_id != request.user.pk and Permission.VIEW_PEOPLE not in request.permissions:
        raise Http404
    problem, status = "", 200
    if request.method == "POST":
        try:
            end_seat(row, by=request.user, at=now())
        except PortalError as error:
            problem, status = error.message, error.status
        else:
            messages.success(request, _("The seat has ended."))
            if row.user_id == request.user.pk:
                return redirect("home")
            return redirect("people", slug=request.institution.slug)
    context = {
        "institution": request.institution,
        "seat": row,
        "role": queries.role_words(row.role),
        "problem": problem,
        "may_see_people": Permission.VIEW_PEOPLE in request.permissions,
    }
    return render(request, "members/seat_end.html", context, status=status)


# --- Invitations ---------------------------------------------------------------------------------------------------


@require_POST
@institution_page(Permission.MANAGE_PEOPLE)
def invite_again(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Send an invitation again, by a fresh link."""
    row = get_object_or_404(Invitation, pk=pk, institution=request.institution)
    words = _("Sent again. Only the newest link works.")
    return _done(request, lambda: resend_invitation(row, by=request.user, at=now()), words)


@require_POST
@institution_page(Permission.MANAGE_PEOPLE)
def invite_withdraw(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Withdraw an invitation."""
    row = get_object_or_404(Invitation, pk=pk, institution=request.institution)
    words = _("Withdrawn. The link works no more.")
    return _done(request, lambda: revoke_invitation(row, by=request.user, at=now()), words)


def _done(request: MemberRequest, act: Callable[[], object], words: str) -> HttpResponse:
    """Do it and go back to the list, which says what happened or why not."""
    try:
        act()
    except PortalError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, words)
    return redirect("people", slug=request.institution.slug)


# --- Ownership -----------------------------------------------------------------------------------------------------


@institution_page(Permission.MANAGE_PEOPLE)
def ownership_pass(request: MemberRequest) -> HttpResponse:
    """Offer one's ownership to a colleague."""
    people = _possible_successors(request)
    form = OwnershipForm(request.POST or None, people=people.values(), initial={"keeps_role": Role.VIEWER.value})
    if request.method == "POST" and form.is_valid():
        try:
            offer = ownership.offer_ownership(
                institution=request.institution,
                to=people[form.cleaned_data["person"]],
                keeps_role=form.cleaned_data["keeps_role"],
                by=request.user,
                at=now(),
            )
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("Offered to %(person)s, who was told by mail.") % {"person": offer.offered_to})
            return redirect("people", slug=request.institution.slug)
    context = {
        "institution": request.institution,
        "form": form,
        "people": people,
        "form_errors": bool(form.errors),
    }
    return render(request, "members/ownership_pass.html", context, status=422 if form.errors else 200)


def _possible_successors(request: MemberRequest) -> dict[str, User]:
    seats = Seat.objects.filter(institution=request.institution, ended_at=None, user__is_active=True)
    owners = seats.filter(role=Role.OWNER).values("user_id")
    others = seats.exclude(user_id__in=owners).select_related("user").order_by("user__email")
    return {str(each.user_id): each.user for each in others}


@institution_page(Permission.VIEW_INSTITUTION)
def ownership_offer(request: MemberRequest, pk: UUID) -> HttpResponse:
    """The successor accepts or declines an offer; an owner may withdraw it."""
    rows = OwnershipOffer.objects.select_related("institution", "offered_by", "offered_to")
    offer = get_object_or_404(rows, pk=pk, institution=request.institution)
    is_mine = offer.offered_to_id == request.user.pk
    if not is_mine and Permission.MANAGE_PEOPLE not in request.permissions:
        raise Http404
    problem, status = "", 200
    acts = {
        "accept": ownership.accept_ownership,
        "decline": ownership.decline_ownership,
        "withdraw": ownership.withdraw_ownership,
    }
    act = acts.get(request.POST.get("do", ""))
    if request.method == "POST" and act is not None:
        try:
            act(offer, by=request.user, at=now())
        except PortalError as error:
            problem, status = error.message, error.status
        else:
            messages.success(
                request, _("Done. You were both told by mail.") if is_mine else _("The offer is withdrawn.")
            )
            return redirect("institution", slug=request.institution.slug)
    context = {
        "institution": request.institution,
        "offer": offer,
        "is_mine": is_mine,
        "is_open": offer.status == "offered" and offer.expires_at > now(),
        "keeps": queries.role_words(offer.keeps_role),
        "problem": problem,
    }
    return render(request, "members/ownership_offer.html", context, status=status)
