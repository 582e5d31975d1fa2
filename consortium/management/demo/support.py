"""Requests for support of two universities: answered in time, answered late, waiting."""

from datetime import datetime, timedelta

from consortium.kernel.periods import Month, month_period
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.kernel.uploads import Upload
from consortium.management.demo.subscribers import tell_subscriber
from members.models import Seat, User
from members.roles import Role
from provisioning.models import Hub, SupportRequest
from provisioning.support.talking import answer, close, note, open_request, reply

LOG = b"[W 2026] Server not ready after 300 s: no node had room (demonstration data)\n"


def tell_past_support(*, slug: str, staff: User, month: Month) -> None:
    """Write what a member asked in a month that is over, before its statement is made: the statement counts it.

    Somebody reads the status page by mail from then on.
    """
    tell_subscriber(at=month_period(month, "UTC").start)
    with consortium_scope(Scope.COMMAND):
        hub, by = _hub_and_person(slug)
        if SupportRequest.objects.filter(hub=hub).exists():
            return
        broken = month_period(month, hub.zone).start + timedelta(days=13, hours=9)
        request = open_request(
            hub,
            severity="outage",
            title="Les serveurs ne démarrent plus",
            text="Depuis neuf heures, personne ne peut démarrer de serveur. Le journal est joint.",
            attachments=(Upload("hub.log", LOG),),
            by=by,
            at=broken + timedelta(minutes=10),
        )
        _answer(request, "Nous cherchons la cause.", staff, at=broken + timedelta(minutes=35))
        note(request, text="Pool at its limit, see the provider's console.", by=staff, at=broken + timedelta(hours=1))
        _answer(request, "Un nœud a été ajouté.", staff, at=broken + timedelta(hours=2), to="resolved")
        close(request, by=by, at=broken + timedelta(hours=6))
        asked = open_request(
            hub,
            severity="question",
            title="Un paquet de plus",
            text="Pouvez-vous ajouter geopandas à l'environnement standard ?",
            by=by,
            at=broken + timedelta(days=1),
        )
        _answer(asked, "Il vient avec l'image de la semaine prochaine.", staff, at=broken + timedelta(days=6))


def tell_support(*, hub: Hub, by: User, staff: User, at: datetime) -> None:
    """Write what the newcomer asks: one that waits for the university, one that waits for the consortium."""
    with consortium_scope(Scope.COMMAND):
        if SupportRequest.objects.filter(hub=hub).exists():
            return
        request = open_request(
            hub,
            severity="impaired",
            title="Some servers are slow to start",
            text="In the morning some people wait for two minutes. It began this week.",
            by=by,
            at=at,
        )
        _answer(request, "Which course, and how many at once?", staff, at=at, to="waiting")
        asked = open_request(
            hub,
            severity="question",
            title="A larger home for one project",
            text="A research group needs 40 GB for a month. Can its home grow?",
            by=by,
            at=at,
        )
        reply(asked, text="The project begins on the first of the month.", by=by, at=at)


def _answer(request: SupportRequest, text: str, staff: User, *, at: datetime, to: str = "answered") -> None:
    answer(request, text=text, to=to, by=staff, at=at)


def _hub_and_person(slug: str) -> tuple[Hub, User]:
    seats = Seat.objects.filter(institution__slug=slug, role=Role.OWNER, ended_at=None).select_related("user")
    return Hub.objects.filter(institution__slug=slug).earliest("requested_at"), seats.earliest("created_at").user
