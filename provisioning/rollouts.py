"""Whether a change arrived: a rollout is accepted once five of the university's people have worked on the hub with it.

Nobody presses a button. The meter sees who starts a server, as a pseudonym; the portal's own synthetic user is never
among them.
"""

from datetime import datetime
from typing import Final

from django.db.models import Exists, F, OuterRef

from consortium.kernel import audit
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.models import Hub, HubRevision, Rollout, Sample

BY: Final = audit.System("meter")
PEOPLE: Final = 5
SETTLED: Final = ("running", "degraded")


def watch_rollouts(*, at: datetime) -> int:
    """Will note which revision of each hub runs, count who worked with it, and accept what five have; returns those.

    What the portal itself revised, such as culling around an event, is no rollout. Opens its own scopes.
    """
    with consortium_scope(Scope.JOB):
        settled = Hub.objects.filter(status__in=SETTLED, observed_generation=F("generation"))
        hubs = list(settled.exclude(rollouts__generation=F("generation")).order_by("pk"))
        for hub in hubs:
            _begin(hub, at)
        waiting = Rollout.objects.filter(accepted_at=None, hub__status__in=SETTLED)
        later = Rollout.objects.filter(hub=OuterRef("hub"), generation__gt=OuterRef("generation"))
        return sum(_count(row, at) for row in waiting.filter(~Exists(later)))


def _begin(hub: Hub, at: datetime) -> None:
    revision = HubRevision.objects.get(hub=hub, generation=hub.generation)
    if revision.author_id is None:
        return
    is_first = not Rollout.objects.filter(hub=hub).exists() and hub.generation == 1
    began_at = hub.running_at if is_first and hub.running_at is not None else at
    Rollout.objects.get_or_create(
        hub=hub,
        generation=hub.generation,
        defaults={"institution_id": hub.institution_id, "began_at": began_at, "needed": PEOPLE},
    )


def _count(row: Rollout, at: datetime) -> bool:
    """Write how many have worked with it; tell whether that accepted it."""
    seen = Sample.objects.filter(hub_id=row.hub_id, at__gte=row.began_at, ready=True)
    people = len(seen.order_by().values_list("pseudonym", flat=True).distinct()[: row.needed])
    if people <= row.people:
        return False
    accepted = at if people >= row.needed else None
    Rollout.objects.filter(pk=row.pk, accepted_at=None).update(people=people, accepted_at=accepted)
    if accepted is not None:
        audit.record(
            "provisioning.rollout_accepted",
            row,
            by=BY,
            at=at,
            institution_id=row.institution_id,
            after={"generation": row.generation, "people": people},
        )
    return accepted is not None
