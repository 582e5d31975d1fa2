"""What the provider told us and a person must look at: try again, or set it aside with a word on what was done."""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from billing.models import ProviderEvent
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid, PortalError
from members.models import User
from members.permissions import Permission, check_staff


class EventSettled(PortalError):
    """Nothing is wrong with the message, or somebody has set it aside already."""

    code = "event_settled"


def open_problems() -> QuerySet[ProviderEvent]:
    """Return the messages with something that nobody has looked at yet, the oldest first; also those tried in vain."""
    return ProviderEvent.objects.exclude(error="").filter(looked_at=None).order_by("received_at")


@transaction.atomic
def process_again(event: ProviderEvent, *, by: User | System, at: datetime) -> ProviderEvent:
    """Want a message acted on once more, as if it came now: the sweeper does it within seconds.

    Harmless for one that was acted on: the provider is asked what is true, and what was booked stays. Raises Forbidden.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    ProviderEvent.objects.filter(pk=event.pk).update(
        processed_at=None, attempts=0, error="", looked_at=None, looked_by=None, note=""
    )
    audit.record("billing.event_processed_again", event, by=by, at=at, institution_id=None)
    return event


@transaction.atomic
def set_aside(event: ProviderEvent, *, note: str, by: User | System, at: datetime) -> ProviderEvent:
    """Take a message out of the queue, with what was found or done; its error stays readable.

    Raises Forbidden, Invalid without a note, EventSettled.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    if not note.strip():
        raise Invalid(_("Say what you found, for whoever asks about it next year."), field="note")
    person = None if isinstance(by, System) else by
    moved = open_problems().filter(pk=event.pk)
    if (
        moved.update(looked_at=at, looked_by=person, note=note.strip()[:500], processed_at=event.processed_at or at)
        != 1
    ):
        raise EventSettled(_("Nothing is wrong with this message any more, or a colleague has set it aside."))
    audit.record("billing.event_set_aside", event, by=by, at=at, institution_id=None, reason=note)
    return event
