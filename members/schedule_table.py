"""A schedule as the tables people read, in English or French: the same on the page and in the signed PDF."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.utils import translation
from django.utils.translation import gettext as _

from consortium.kernel.formats import day_text, money_text, number_text, percent_text
from consortium.kernel.language import bilingual
from members.models import Agreement
from members.schedule import GIB, Schedule

Row = tuple[str, str]


@dataclass(frozen=True)
class Part:
    """A part of the schedule: a caption and rows of (what, how much)."""

    title: str
    rows: tuple[Row, ...]


def schedule_parts(agreement: Agreement, *, language: str) -> tuple[Part, ...]:
    """Write the schedule of an agreement in `language`. Raises ScheduleInvalid for one that cannot be read."""
    schedule = Schedule.parse(agreement.schedule)
    with translation.override(language):
        return (
            Part(_("Parties and term"), _term(agreement, schedule, language)),
            Part(_("Dues and prices"), _prices(schedule, language)),
            Part(_("What the institution is entitled to"), _entitlements(schedule, language)),
            Part(_("Service level"), _service_level(schedule, language)),
        )


def _term(agreement: Agreement, schedule: Schedule, language: str) -> tuple[Row, ...]:
    last_day = agreement.ends_on - timedelta(days=1) if agreement.ends_on else None
    return (
        (_("Institution"), bilingual(agreement.institution, "name", language)),
        (_("Consortium"), bilingual(agreement.issuer, "name", language)),
        (_("First day"), day_text(agreement.starts_on, language=language)),
        (_("Last day"), day_text(last_day, language=language) if last_day else _("Until either side ends it")),
        (_("Time zone of days and months"), agreement.zone),
        (_("Notice to end it"), _days(schedule.notice_days)),
        (_("Invoices are due within"), _days(schedule.payment_days)),
        (_("Purchase order"), _("Needed on every invoice") if schedule.po_required else _("Not needed")),
    )


def _prices(schedule: Schedule, language: str) -> tuple[Row, ...]:
    def money(amount: Decimal) -> str:
        return money_text(amount, schedule.currency, language=language, code=True)

    tier = schedule.tier_name_fr if language == "fr" else schedule.tier_name_en
    rows = [(_("Yearly dues (%(tier)s)") % {"tier": tier}, money(schedule.dues))]
    first = 1
    for slab in schedule.slabs:
        start = number_text(first, language=language)
        if slab.up_to is None:
            label = _("Each active user in a month, number %(first)s and above") % {"first": start}
        else:
            last = number_text(slab.up_to, language=language)
            label = _("Each active user in a month, %(first)s to %(last)s") % {"first": start, "last": last}
            first = slab.up_to + 1
        rows.append((label, money(slab.unit_price)))
    hours = number_text(schedule.included_support_hours, language=language)
    rows += [
        (_("Support hours included in a month"), hours),
        (_("Each further hour of support"), money(schedule.support_hourly_rate)),
        (_("Monthly fee of a hub that service credits are reckoned on"), money(schedule.creditable_monthly_fee)),
        (_("Cloud cost"), _("Passed on at cost, shared by use")),
    ]
    return tuple(rows)


def _entitlements(schedule: Schedule, language: str) -> tuple[Row, ...]:
    limits = schedule.entitlements
    memory = number_text(limits.memory_limit_bytes // GIB, language=language)
    return (
        (_("Hubs"), number_text(limits.hubs, language=language)),
        (_("Environments"), ", ".join(limits.environments)),
        (_("Memory of a server, at most"), f"{memory}\N{NO-BREAK SPACE}{_('GiB')}"),
        (_("Servers at once in a hub, at most"), number_text(limits.max_servers, language=language)),
        (_("Regions"), ", ".join(limits.regions)),
    )


def _service_level(schedule: Schedule, language: str) -> tuple[Row, ...]:
    level = schedule.service_level
    rows = [(_("Availability of a hub in a month"), percent_text(level.availability, language=language, digits=2))]
    for credit in level.credits:
        label = _("Credit below %(share)s") % {"share": percent_text(credit.below, language=language, digits=2)}
        value = _("%(share)s of the monthly fee") % {"share": percent_text(credit.credit, language=language, digits=0)}
        rows.append((label, value))
    rows.append((_("First answer to an urgent request"), _hours(level.urgent_response_hours)))
    rows.append((_("First answer to any other request"), _hours(level.response_hours)))
    return tuple(rows)


def _days(count: int) -> str:
    return _("%(count)d days") % {"count": count}


def _hours(count: int) -> str:
    return _("%(count)d business hours") % {"count": count}
