"""Hubs as the tests' stories need them: requested, or running without a process behind them."""

from datetime import datetime, timedelta
from uuid import uuid4

from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from members.keys import make_member_key, member_key
from members.models import Institution
from provisioning.catalogue import load_catalogue
from provisioning.models import Hub, Sample, SamplingRun
from provisioning.pseudonyms import pseudonym
from provisioning.requests import request_hub
from provisioning.wishes import HubWish
from tests.cast import Cast

WISH = HubWish(
    name="Statistics",
    purpose="Second-year statistics",
    environment="standard",
    memory_bytes=1024**3,
    max_servers=10,
    expected_users=40,
    users=frozenset({"ada", "bob"}),
    admins=frozenset({"ada"}),
)


def requested_hub(cast: Cast, *, at: datetime, slug: str = "cedar-stats", wish: HubWish = WISH) -> Hub:
    """A hub that the technical person of the university has asked for."""
    cluster = load_catalogue(at)
    with institution_scope(cast.university.pk):
        return request_hub(
            institution=cast.university,
            cluster=cluster,
            spec=wish.spec(slug=slug),
            agreement_id=uuid4(),
            zone=cast.university.zone,
            by=cast.technical,
            at=at,
            purpose=wish.purpose,
        )


def running_hub(cast: Cast, *, at: datetime, slug: str = "cedar-stats") -> Hub:
    """A hub as its row looks once it runs, with the key that its people's names are hidden under."""
    hub = requested_hub(cast, at=at, slug=slug)
    with consortium_scope(Scope.JOB):
        make_member_key(cast.university, at=at)
        for status in ("approved", "provisioning"):
            Hub.objects.filter(pk=hub.pk).update(status=status)
        Hub.objects.filter(pk=hub.pk).update(
            status="running",
            url="http://127.0.0.1:9/",
            version="5.4.2",
            observed_generation=1,
            observed_spec_hash=hub.revisions.get().spec_hash,
            running_at=at,
            healthy_at=at,
        )
        return Hub.objects.select_related("cluster").get(pk=hub.pk)


def looked(hub: Hub, at: datetime, *people: tuple[str, datetime], ok: bool = True, interval: int = 60) -> None:
    """A look of the meter that found these people's servers, each with its start."""
    with consortium_scope(Scope.JOB):
        SamplingRun.objects.create(
            institution_id=hub.institution_id, hub=hub, at=at, ok=ok, servers=len(people), interval_seconds=interval
        )
        key = member_key(hub.institution_id)
        Sample.objects.bulk_create(
            Sample(
                institution_id=hub.institution_id,
                hub=hub,
                at=at,
                pseudonym=pseudonym(key, name),
                started_at=started,
                memory_bytes=1024**3,
            )
            for name, started in people
        )


def looked_each_minute(hub: Hub, first: datetime, minutes: int, *people: tuple[str, datetime]) -> None:
    """Looks at full minutes, all with the same people."""
    for minute in range(minutes):
        looked(hub, first + timedelta(minutes=minute), *people)


def institution_of(hub: Hub) -> Institution:
    """The hub's university."""
    return Institution.objects.get(pk=hub.institution_id)
