"""Mails of support: a member's word goes to the operators, the consortium's to who asked and took part."""

from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from consortium.kernel import mail
from consortium.kernel.language import bilingual
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.models import User
from members.permissions import Permission, permissions_at
from members.queries import staff_with
from provisioning.models import SupportClock, SupportMessage, SupportRequest
from provisioning.support.attachments import files_of
from provisioning.support.running import running_clock
from provisioning.support.talking import MAIL


@receiver(MAIL)
def mail_support(event: AuditEvent) -> None:
    """Send what was said to the other side."""
    rows = SupportMessage.objects.select_related("author", "request__hub__institution", "request__opened_by")
    message = rows.get(pk=UUID(event.object_id))
    request = message.request
    if message.side == "member":
        clock = running_clock(request)
        due_at = clock.due_at if clock else None
        for person in staff_with(Permission.OPERATE_HUBS):
            _send(event, person, "provisioning_support_staff", request, message=message, due_at=due_at)
        return
    files = files_of([message]).count()
    for person in _who_takes_part(request):
        _send(event, person, "provisioning_support_member", request, message=message, files=files)


@receiver("provisioning.mail_support_due")
def mail_support_due(event: AuditEvent) -> None:
    """Warn the operators of a promise that is nearly broken; nobody when the word has come meanwhile."""
    rows = SupportClock.objects.select_related("request__hub__institution")
    clock = rows.get(pk=UUID(event.object_id))
    if clock.stopped_at is not None:
        return
    for person in staff_with(Permission.OPERATE_HUBS):
        _send(event, person, "provisioning_support_due", clock.request, due_at=clock.due_at)


def _who_takes_part(request: SupportRequest) -> list[User]:
    """Whoever opened it or wrote in it and may still read it; each once."""
    people = {request.opened_by.pk: request.opened_by}
    for message in request.messages.filter(side="member").select_related("author"):
        if message.author is not None:
            people[message.author.pk] = message.author
    return [
        person
        for person in people.values()
        if Permission.REQUEST_SUPPORT in permissions_at(person, request.institution_id)
    ]


def _send(event: AuditEvent, person: User, template: str, request: SupportRequest, **more: object) -> None:
    is_staff = template != "provisioning_support_member"
    institution = request.hub.institution
    with translation.override(person.language):
        page = (
            reverse("admin:provisioning_supportrequest_change", args=[request.pk])
            if is_staff
            else reverse("support_request", args=[institution.slug, request.pk])
        )
        context = {
            "person": person,
            "request": request,
            "university": bilingual(institution, "name", person.language),
            "page_url": settings.PUBLIC_URL + page,
            **more,
        }
        mail.compose(
            event, recipient=person.email, template=template, language=person.language, context=context, at=event.at
        )
