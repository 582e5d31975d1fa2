"""Mails of an exit, to the member's owners: what happens now, and until when they can take their data away."""

from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from consortium.kernel.formats import day_text
from consortium.kernel.language import bilingual
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.models import MemberExit
from members.queries import owners_of


@receiver("members.mail_exit")
def mail_exit(event: AuditEvent) -> None:
    """Tell the owners of each step."""
    leaving = MemberExit.objects.select_related("institution").get(pk=UUID(event.object_id))
    for person in owners_of(leaving.institution_id):
        with translation.override(person.language):
            url = settings.PUBLIC_URL + reverse("leaving", args=[leaving.institution.slug])
        known = {
            "person": person,
            "step": event.action.removeprefix("members.exit_"),
            "university": bilingual(leaving.institution, "name", person.language),
            "last_day": day_text(leaving.last_day, language=person.language),
            "delete_on": day_text(leaving.delete_on, language=person.language),
            "url": url,
        }
        compose(
            event,
            recipient=person.email,
            template="members_exit",
            language=person.language,
            context=known,
            at=event.at,
        )
