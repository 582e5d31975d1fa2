"""A hub whose agreement names severities: an outage around the clock, a question in business hours."""

from datetime import datetime

from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.kernel.uploads import Upload
from members.models import Membership, Seat
from members.schedule_terms import EventHubs, Severity
from provisioning.models import Hub, SupportRequest
from provisioning.support.talking import open_request
from tests.cast import Cast
from tests.unit.members import story
from tests.unit.provisioning.stories import running_hub

SEVERITIES = (
    Severity(
        code="outage",
        name_en="Nobody can work",
        name_fr="Personne ne peut travailler",
        response_hours=1,
        update_hours=2,
        around_the_clock=True,
    ),
    Severity(code="question", name_en="A question", name_fr="Une question", response_hours=16, update_hours=40),
)
TERMS = story.TERMS.model_copy(
    update={
        "service_level": story.TERMS.service_level.model_copy(update={"severities": SEVERITIES}),
        "event_hubs": EventHubs.model_validate({"included_per_year": 1, "price_each": "250.00", "longest_days": 3}),
    }
)


def agreed_hub(cast: Cast, *, at: datetime) -> Hub:
    """A running hub of the cast's university under those terms."""
    with consortium_scope(Scope.COMMAND):
        Seat.objects.filter(institution=cast.university, role="owner").delete()
        Membership.objects.filter(institution=cast.university).delete()
        story.make_template(cast.issuer, at, TERMS)
        story.in_force(cast.university, by=cast.owner, staff=cast.staff, at=at)
    return running_hub(cast, at=at)


def opened(
    cast: Cast, hub: Hub, *, at: datetime, severity: str = "outage", attachments: tuple[Upload, ...] = ()
) -> SupportRequest:
    """A request by the technical person: nobody can work."""
    with institution_scope(cast.university.pk):
        return open_request(
            hub,
            severity=severity,
            title="Servers do not start",
            text="Since nine o'clock the class sees a spawn error.",
            attachments=attachments,
            by=cast.technical,
            at=at,
        )
