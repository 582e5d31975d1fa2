"""A member's page of leaving: what is done, what it waits for, and what can be taken away until when."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from consortium.kernel.documents import read
from consortium.usecases.exit_bundle import bundle_of, certificates_of, files_of, hub_exports
from consortium.usecases.exit_member import checklist
from members.models import Agreement, MemberExit
from members.permissions import Permission
from members.web import MemberRequest, institution_page


@require_safe
@institution_page(Permission.SIGN_AGREEMENT)
def leaving(request: MemberRequest) -> HttpResponse:
    """The checklist of the newest exit; without one, where notice is given."""
    rows = MemberExit.objects.filter(institution=request.institution).select_related("agreement", "institution")
    newest = rows.first()
    live = Agreement.objects.filter(institution=request.institution, status__in=["in_force", "terminating"]).first()
    context: dict[str, Any] = {"leaving": newest, "agreement": live}
    if newest is not None:
        context |= {
            "items": checklist(newest),
            "bundle": bundle_of(newest),
            "certificates": certificates_of(newest),
            "exports": [] if newest.status == "certified" else hub_exports(newest),
        }
    return render(request, "members/leaving.html", context)


@require_safe
@institution_page(Permission.SIGN_AGREEMENT)
def leaving_file(request: MemberRequest, pk: UUID) -> HttpResponse:
    """The bundle, a certificate, or what was exported of a hub, as a download."""
    rows = MemberExit.objects.filter(institution=request.institution)
    document = next((each for row in rows for each in files_of(row) if each.pk == pk), None)
    if document is None:
        raise Http404
    headers = {"Content-Disposition": f'attachment; filename="{document.name}"', "Cache-Control": "private, no-store"}
    return HttpResponse(read(document), content_type=document.media_type, headers=headers)
