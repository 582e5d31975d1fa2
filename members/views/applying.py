"""Applying: choose the university, add one that is not listed, or ask a member's owners for a seat."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members import access, onboarding, queries
from members.application_forms import UnlistedForm
from members.directory import AlreadyListed, add_unlisted
from members.forms import show_refusal
from members.models import Application, Institution, Membership, User


@login_required
def apply(request: HttpRequest) -> HttpResponse:
    """Choose the university that applies."""
    assert isinstance(request.user, User)  # noqa: S101 - login_required
    refusal: PortalError | None = None
    with consortium_scope(Scope.APPLICANT):
        if request.method == "POST":
            institution = Institution.objects.filter(slug=request.POST.get("institution", "")).first()
            if institution is None or not _may_find(institution, request.user):
                raise Http404
            try:
                application = onboarding.start_application(institution=institution, by=request.user, at=now())
            except PortalError as error:
                refusal = error
            else:
                return redirect("application_form", pk=application.pk)
        return _apply_page(request, request.user, refusal)


def _may_find(institution: Institution, user: User) -> bool:
    """An entry that nobody has confirmed is its applicant's own."""
    return institution.confirmed or queries.own_applications(user).filter(institution=institution).exists()


def _apply_page(request: HttpRequest, user: User, refusal: PortalError | None) -> HttpResponse:
    text = request.GET.get("q", "")[:100]
    own = access.member_of_hosts([access.host_of(user.email)])
    asked = access.asked_by(user)
    refused_by = refusal.institution if isinstance(refusal, access.AlreadyMember) else None
    context = {
        "text": text,
        "institutions": queries.search_institutions(text),
        "applications": [(row, queries.standing(row)) for row in queries.own_applications(user)],
        "own": None if own is None or queries.has_seat(user, own) else own,
        "asked": asked,
        "problem": refusal.message if refusal else "",
        "refused_by": refused_by,
    }
    return render(request, "members/apply.html", context, status=refusal.status if refusal else 200)


@login_required
def apply_unlisted(request: HttpRequest) -> HttpResponse:
    """Apply for a university that is not in the shipped list."""
    assert isinstance(request.user, User)  # noqa: S101 - login_required
    form = UnlistedForm(request.POST if request.method == "POST" else None)
    listed: Institution | None = None
    is_member, status = False, 200
    with consortium_scope(Scope.APPLICANT):
        if request.method == "POST":
            status = 422
            try:
                if form.is_valid():
                    return redirect("application_form", pk=_apply_for_unlisted(form, request.user).pk)
            except AlreadyListed as error:
                listed = error.institution
                is_member = Membership.objects.filter(institution=listed).exists()
                form.add_error("domain", error.message)
            except PortalError as error:
                show_refusal(form, error)
        context = {"form": form, "form_errors": status == 422, "listed": listed, "is_member": is_member}
        context["asked"] = access.asked_by(request.user) if is_member else set()
        return render(request, "members/apply_unlisted.html", context, status=status)


def _apply_for_unlisted(form: UnlistedForm, user: User) -> Application:
    """Make the entry and the draft: both or neither. Raises AlreadyListed, AlreadyApplying, Invalid.

    An entry that nobody has confirmed, left behind by an application that ended, is taken up again.
    """
    with transaction.atomic():
        at = now()
        onboarding.refuse_many_drafts(user)
        try:
            institution = add_unlisted(**form.cleaned_data, by=user, at=at)
        except AlreadyListed as error:
            if error.institution.confirmed:
                raise
            institution = error.institution
        return onboarding.start_application(institution=institution, by=user, at=at)


@require_POST
@login_required
def access_request(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask the owners of a member for a seat."""
    assert isinstance(request.user, User)  # noqa: S101 - login_required
    with consortium_scope(Scope.APPLICANT):
        institution = Institution.objects.filter(slug=slug, confirmed=True).first()
        if institution is None:
            raise Http404
        try:
            access.request_access(institution=institution, by=request.user, at=now())
        except PortalError as error:
            messages.warning(request, error.message)
        else:
            messages.success(
                request,
                _("We have asked the owners of %(university)s. They will answer you by e-mail.")
                % {"university": institution.name},
            )
    return redirect("apply")
