"""The demonstration's mailbox: what the portal would have sent."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Document, OutgoingMail


@require_safe
def mailbox(request: HttpRequest) -> HttpResponse:
    """List every mail, newest first; only where DEMO is on."""
    if not settings.DEMO:
        raise Http404
    with consortium_scope(Scope.PUBLIC):
        mails = list(OutgoingMail.objects.order_by("-next_at")[:200])
        names = dict(
            Document.objects.filter(pk__in=[key for mail in mails for key in mail.attachment_ids]).values_list(
                "pk", "name"
            )
        )
    rows = [{"mail": mail, "attachments": [names.get(key, "?") for key in mail.attachment_ids]} for mail in mails]
    return render(request, "mailbox.html", {"rows": rows})
