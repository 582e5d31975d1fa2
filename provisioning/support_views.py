"""The pages of support: the list, a new request, and one request with its files."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.uploads import as_download, bounded_upload
from members.forms import show_refusal
from members.permissions import Permission
from members.web import MemberRequest, institution_page
from provisioning.models import ClosedDay, Hub, SupportRequest
from provisioning.support.attachments import LARGEST_IN_ALL, file_of
from provisioning.support.exports import support_csv as write_support_csv
from provisioning.support.forms import MessageForm, SupportForm
from provisioning.support.page import request_rows, request_view
from provisioning.support.talking import GONE, close, open_request, reply
from provisioning.support.terms import SeverityTerms, SupportTerms, support_terms

may = institution_page(Permission.REQUEST_SUPPORT)
COMING_CLOSED_DAYS = 4


@require_safe
@may
def support(request: MemberRequest) -> HttpResponse:
    """List the university's requests; the filters stand in the address."""
    at, hub_slug = now(), request.GET.get("hub", "")
    is_closed = request.GET.get("show") == "closed"
    context = {
        "institution": request.institution,
        "rows": request_rows(request.institution, hub_slug=hub_slug, closed=is_closed, at=at),
        "hubs": list(Hub.objects.filter(institution=request.institution).order_by("name")),
        "hub_slug": hub_slug,
        "is_closed": is_closed,
    }
    return render(request, "provisioning/support.html", context)


@require_safe
@may
def support_csv(request: MemberRequest) -> HttpResponse:
    """Send all requests of the university as a file for a spreadsheet."""
    rows = SupportRequest.objects.filter(institution=request.institution)
    return HttpResponse(
        write_support_csv(rows.select_related("hub").prefetch_related("clocks"), at=now()),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="support-{request.institution.slug}.csv"'},
    )


@bounded_upload(LARGEST_IN_ALL)
@may
def support_new(request: MemberRequest) -> HttpResponse:
    """Ask what it is about; on POST open the request and show it."""
    at = now()
    hubs = list(Hub.objects.filter(institution=request.institution).exclude(status__in=GONE).order_by("name"))
    if not hubs:
        return render(request, "provisioning/support_new.html", {"institution": request.institution, "hubs": hubs})
    terms = support_terms(request.institution.pk, hubs[0], at=at)
    form = SupportForm(
        request.POST or None,
        request.FILES or None,
        hubs=hubs,
        choices=[(each.code, severity_words(each)) for each in terms.severities],
        initial={"hub": request.GET.get("hub", ""), "severity": terms.severities[-1].code},
    )
    if request.method == "POST" and form.is_valid():
        try:
            opened = _open(request, form, hubs)
        except PortalError as refused:
            show_refusal(form, refused)
        else:
            messages.success(request, _("Your request is with the consortium. We write to you with each answer."))
            return redirect("support_request", slug=request.institution.slug, pk=opened.pk)
    context = {"institution": request.institution, "hubs": hubs, "form": form} | _promise(terms)
    return render(request, "provisioning/support_new.html", context, status=422 if form.errors else 200)


@bounded_upload(LARGEST_IN_ALL)
@may
def support_request(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show a request; on POST add what the university says."""
    row, at = _request(request, pk), now()
    form = MessageForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            reply(row, text=values["text"], attachments=values["attachments"], by=request.user, at=at)
        except PortalError as refused:
            show_refusal(form, refused)
        else:
            messages.success(request, _("Your message is sent."))
            return redirect("support_request", slug=request.institution.slug, pk=pk)
    context = {"institution": request.institution, "hub": row.hub, "form": form, "view": request_view(row, at=at)}
    return render(request, "provisioning/support_request.html", context, status=422 if form.errors else 200)


@require_POST
@may
def support_close(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Close the request for good."""
    row = _request(request, pk)
    try:
        close(row, by=request.user, at=now())
    except PortalError as refused:
        messages.warning(request, refused.message)
    else:
        messages.success(request, _("The request is closed."))
    return redirect("support_request", slug=request.institution.slug, pk=pk)


@require_safe
@may
def support_file(request: MemberRequest, pk: UUID, document: UUID) -> HttpResponse:
    """Download a file of a request."""
    found = file_of(_request(request, pk), document, internal=False)
    if found is None:
        raise Http404
    return as_download(found)


def severity_words(terms: SeverityTerms) -> str:
    """A severity with what is promised for it, for a list to choose from."""
    if terms.response_hours is None:
        return terms.name
    kind = gettext_lazy("around the clock") if terms.around_the_clock else gettext_lazy("in business hours")
    text = _("%(name)s: first answer within %(hours)d h, %(kind)s")
    return text % {"name": terms.name, "hours": terms.response_hours, "kind": kind}


def _promise(terms: SupportTerms) -> dict[str, Any]:
    days = ClosedDay.objects.filter(day__gte=now().date())[:COMING_CLOSED_DAYS]
    return {"terms": terms, "closed_days": list(days)}


def _open(request: MemberRequest, form: SupportForm, hubs: list[Hub]) -> SupportRequest:
    values = form.cleaned_data
    return open_request(
        next(hub for hub in hubs if hub.slug == values["hub"]),
        severity=values["severity"],
        title=values["title"],
        text=values["text"],
        attachments=values["attachments"],
        by=request.user,
        at=now(),
    )


def _request(request: MemberRequest, pk: UUID) -> SupportRequest:
    rows = SupportRequest.objects.filter(institution=request.institution, pk=pk)
    row = rows.select_related("hub").prefetch_related("clocks").first()
    if row is None:
        raise Http404
    return row
