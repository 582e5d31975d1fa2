"""Ninety days of service of the demonstration members, with an outage, an incident and announced maintenance.

Their hubs do not run, so their visits are made up, and every day of them is marked as demonstration data; the
statements are counted from those visits by the code that counts real ones.
"""

from datetime import datetime, timedelta

from consortium.kernel.periods import Month, Period, day_period, days_of, local_date, month_period
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.demo.history import PASTS
from members.models import User
from provisioning.models import Hub, Incident, Maintenance, ServiceDay, WorkCheck
from provisioning.service_level.incidents import announce_maintenance, open_incident, update_incident
from provisioning.service_level.statements import make_statement

EVERY = timedelta(minutes=30)
BROKEN = "mcgill"


def tell_service(*, staff: User, months: list[Month], at: datetime) -> None:
    """Write what is missing of it; safe to start over."""
    with consortium_scope(Scope.COMMAND):
        outage = _outage(months[-1])
        for hub in Hub.objects.filter(institution__slug__in=[past.slug for past in PASTS]).select_related(
            "institution"
        ):
            if WorkCheck.objects.filter(hub=hub).exists():
                continue
            first = month_period(months[0], hub.zone).start
            Hub.objects.filter(pk=hub.pk).update(running_at=first)
            hub.running_at = first
            broken = outage if hub.institution.slug == BROKEN else None
            _visit(hub, months, broken)
            _count(hub, months, broken, at)
            for month in months:
                make_statement(hub, month=month, at=at)
        _tell(staff, outage, at)


def _outage(month: Month) -> Period:
    start = month_period(month, "America/Toronto").start + timedelta(days=13, hours=9)
    return Period(start, start + timedelta(hours=5, minutes=30))


def _visit(hub: Hub, months: list[Month], outage: Period | None) -> None:
    rows = []
    for month in months:
        whole = month_period(month, hub.zone)
        instants = (whole.start + EVERY * number for number in range(whole.length // EVERY + 1))
        for instant in instants:
            ok = outage is None or not outage.start < instant < outage.end
            rows.append(
                WorkCheck(
                    institution_id=hub.institution_id,
                    hub=hub,
                    at=instant,
                    ok=ok,
                    step="" if ok else "start",
                    error="" if ok else "the server did not come up: no node had room (demonstration data)",
                    interval_seconds=int(EVERY.total_seconds()),
                )
            )
    WorkCheck.objects.bulk_create(rows, ignore_conflicts=True)


def _count(hub: Hub, months: list[Month], outage: Period | None, at: datetime) -> None:
    rows = []
    for day in (day for month in months for day in days_of(month) if day < local_date(at, hub.zone)):
        whole = day_period(day, hub.zone)
        shared = outage.intersection(whole) if outage else None
        down = int(shared.length.total_seconds()) if shared else 0
        rows.append(
            ServiceDay(
                institution_id=hub.institution_id,
                hub=hub,
                day=day,
                zone=hub.zone,
                served_seconds=int(whole.length.total_seconds()) - down,
                down_seconds=down,
                outages=1 if down else 0,
                generated=True,
                counted_at=at,
            )
        )
    ServiceDay.objects.bulk_create(rows, ignore_conflicts=True)


def _tell(staff: User, outage: Period, at: datetime) -> None:
    if not Incident.objects.exists():
        slugs = list(Hub.objects.filter(institution__slug=BROKEN).values_list("slug", flat=True))
        incident = open_incident(
            title_en="Servers do not start (demonstration data)",
            title_fr="Les serveurs ne démarrent pas (données de démonstration)",
            text_en="People are shown a spawn error. We look for the cause.",
            text_fr="Une erreur de démarrage s'affiche. Nous cherchons la cause.",
            hub_slugs=slugs,
            started_at=outage.start,
            by=staff,
            at=outage.start + timedelta(minutes=20),
        )
        for status, minutes, text_en, text_fr in (
            ("identified", 95, "No node had room left. One is being added.", "Plus aucun nœud libre. On en ajoute un."),
            ("resolved", 330, "Servers start again.", "Les serveurs démarrent de nouveau."),
        ):
            when = outage.start + timedelta(minutes=minutes)
            update_incident(incident, status=status, text_en=text_en, text_fr=text_fr, by=staff, at=when)
    if not Maintenance.objects.exists():
        start = (at + timedelta(days=6)).replace(hour=9, minute=0, second=0, microsecond=0)
        announce_maintenance(
            cluster=None,
            title_en="Nodes are replaced (demonstration data)",
            title_fr="Remplacement de nœuds (données de démonstration)",
            text_en="Running servers stop once and can be started again at once.",
            text_fr="Les serveurs en marche s'arrêtent une fois et peuvent être redémarrés aussitôt.",
            starts_at=start,
            ends_at=start + timedelta(hours=2),
            by=staff,
            at=at,
        )
