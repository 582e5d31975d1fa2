"""An owner answers somebody who asked for a seat."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from members.access_answers import decline_access, grant_access, waiting_at
from members.forms import show_refusal
from members.models import AccessRequest
from members.people_forms import RoleForm
from members.permissions import Permission
from members.web import MemberRequest, institution_page


@institution_page(Permission.MANAGE_PEOPLE)
def access_answer(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Who asks, what is known of them; a role, or no."""
    rows = AccessRequest.objects.select_related("user", "institution")
    row = get_object_or_404(rows, pk=pk, institution=request.institution)
    asker = next((each for each in waiting_at(request.institution) if each.request.pk == row.pk), None)
    if asker is None:
        messages.info(request, _("This request has been answered already."))
        return redirect("people", slug=request.institution.slug)
    declines = request.method == "POST" and request.POST.get("do") == "decline"
    form = RoleForm(request.POST if request.method == "POST" and not declines else None)
    try:
        if declines:
            decline_access(row, by=request.user, at=now())
            messages.success(request, _("Declined. %(person)s was told by mail.") % {"person": row.user})
            return redirect("people", slug=request.institution.slug)
        if form.is_bound and form.is_valid():
            grant_access(row, role=form.cleaned_data["role"], by=request.user, at=now())
            messages.success(request, _("%(person)s has a seat now, and was told by mail.") % {"person": row.user})
            return redirect("people", slug=request.institution.slug)
    except PortalError as error:
        show_refusal(form, error)
    context = {
        "institution": request.institution,
        "asker": asker,
        "form": form,
        "form_errors": bool(form.errors),
    }
    return render(request, "members/access_answer.html", context, status=422 if form.errors else 200)
