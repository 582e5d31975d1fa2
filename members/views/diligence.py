"""The due-diligence pack for who is deciding on membership: the list, single files, and all of it as one zip."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members import diligence
from members.models import DiligenceVersion, User


def _is_open(request: HttpRequest) -> bool:
    assert isinstance(request.user, User)  # noqa: S101 - login_required
    with consortium_scope(Scope.APPLICANT):
        return diligence.may_read(request.user)


@require_safe
@login_required
def pack(request: HttpRequest) -> HttpResponse:
    """List the pack; who neither applies nor belongs to a member is told how to get it."""
    allowed = _is_open(request)
    context = {"allowed": allowed, "pack": diligence.current_pack(on=now().date()) if allowed else []}
    return render(request, "members/due_diligence.html", context, status=200 if allowed else 403)


@require_safe
@login_required
def pack_file(request: HttpRequest, pk: UUID, language: str) -> HttpResponse:
    """Hand out one file."""
    version = DiligenceVersion.objects.filter(pk=pk).select_related("document").first()
    found = diligence.pack_file(version, language) if version and _is_open(request) else None
    if found is None:
        raise Http404
    stored, content = found
    return _download(content, stored.name, stored.media_type)


@require_safe
@login_required
def pack_zip(request: HttpRequest) -> HttpResponse:
    """Hand out the whole pack."""
    if not _is_open(request):
        raise Http404
    at = now()
    return _download(diligence.pack_archive(on=at.date()), f"due-diligence-{at:%Y-%m-%d}.zip", "application/zip")


def _download(content: bytes, name: str, media_type: str) -> HttpResponse:
    response = HttpResponse(content, content_type=media_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
