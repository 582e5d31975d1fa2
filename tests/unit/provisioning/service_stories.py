"""A hub with an agreement behind it, and scripted visits of its synthetic user."""

from datetime import datetime, timedelta

from consortium.kernel.periods import Period
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Membership, Seat
from members.schedule import ScheduleTemplate
from provisioning.models import Hub, WorkCheck
from tests.cast import Cast
from tests.unit.members import story
from tests.unit.provisioning.stories import running_hub

EVERY = timedelta(minutes=30)


def promised_hub(cast: Cast, *, at: datetime, terms: ScheduleTemplate = story.TERMS) -> Hub:
    """A running hub of the cast's university, whose agreement promises 99.5 % and credits 10 % of 500.00 below 99 %."""
    with consortium_scope(Scope.COMMAND):
        Seat.objects.filter(institution=cast.university, role="owner").delete()
        Membership.objects.filter(institution=cast.university).delete()
        story.make_template(cast.issuer, at, terms)
        story.in_force(cast.university, by=cast.owner, staff=cast.staff, at=at)
    return running_hub(cast, at=at)


def visited(hub: Hub, period: Period, *, down: Period | None = None, silent: Period | None = None) -> None:
    """A visit each half hour: failed strictly inside `down`, absent strictly inside `silent`."""
    rows, at = [], period.start
    while at <= period.end:
        if silent is None or not silent.start < at < silent.end:
            ok = down is None or not down.start < at < down.end
            rows.append(
                WorkCheck(
                    institution_id=hub.institution_id,
                    hub=hub,
                    at=at,
                    ok=ok,
                    step="" if ok else "start",
                    error="" if ok else "the server did not come up",
                    interval_seconds=1800,
                )
            )
        at += EVERY
    with consortium_scope(Scope.JOB):
        WorkCheck.objects.bulk_create(rows)
