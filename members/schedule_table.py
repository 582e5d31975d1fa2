"""A schedule as the tables people read, in English or French: the same on the page and in the signed PDF."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Protocol

from django.utils import translation
from django.utils.translation import gettext as _

from consortium.kernel.formats import day_text, money_text, number_text, percent_text
from consortium.kernel.language import bilingual
from members.schedule import GIB, Schedule
from members.schedule_table_parts import (
    Row,
    days_text,
    exit_rows,
    hours_text,
    lapse_rows,
    privacy_rows,
    responsibility_rows,
    severity_rows,
)


class HasTerms(Protocol):
    """An agreement, or a version of one while it was negotiated."""

    institution: Any
    issuer: Any
    zone: str
    schedule: Any
    starts_on: date
    ends_on: date | None


@dataclass(frozen=True)
class Part:
    """A part of the schedule: a caption and rows of (what, how much)."""

    title: str
    rows: tuple[Row, ...]


def schedule_parts(agreement: HasTerms, *, language: str) -> tuple[Part, ...]:
    """Write the schedule of an agreement in `language`. Raises ScheduleInvalid for one that cannot be read."""
    schedule = Schedule.parse(agreement.schedule)
    with translation.override(language):
        parts: Iterable[Part] = (
            Part(_("Parties and term"), _term(agreement, schedule, language)),
            Part(_("Dues and prices"), _prices(schedule, language)),
            Part(_("Invoices and payment"), _payment(schedule, language)),
            Part(_("What the institution is entitled to"), _entitlements(schedule, language)),
            Part(_("Service level"), _service_level(schedule, language)),
            Part(_("Support by severity"), severity_rows(schedule, language)),
            Part(_("Who does what"), responsibility_rows(schedule, language)),
            Part(_("Data protection"), privacy_rows(schedule, language)),
            Part(_("Unpaid invoices"), lapse_rows(schedule, language)),
            Part(_("Leaving"), exit_rows(schedule, language)),
        )
        return tuple(part for part in parts if part.rows)


def _term(agreement: HasTerms, schedule: Schedule, language: str) -> tuple[Row, ...]:
    last_day = agreement.ends_on - timedelta(days=1) if agreement.ends_on else None
    renewal = schedule.renewal
    rows = [
        (_("Institution"), bilingual(agreement.institution, "name", language)),
        (_("Consortium"), bilingual(agreement.issuer, "name", language)),
        (_("First day"), day_text(agreement.starts_on, language=language)),
        (_("Last day"), day_text(last_day, language=language) if last_day else _("Until either side ends it")),
        (_("Time zone of days and months"), agreement.zone),
        (_("Notice to end it"), days_text(schedule.notice_days)),
        (_("Notice of new prices"), days_text(schedule.price_notice_days)),
    ]
    if schedule.max_price_increase is not None:
        share = percent_text(schedule.max_price_increase, language=language, digits=1)
        rows.append((_("A notice raises a price by at most"), share))
    if last_day is not None:
        offered = _("Offered %(days)d days before the last day") % {"days": renewal.offer_days}
        rows.append((_("Renewal"), offered if renewal.mode == "offered" else _("None: it ends on its last day")))
    return tuple(rows)


def _prices(schedule: Schedule, language: str) -> tuple[Row, ...]:
    def money(amount: Decimal) -> str:
        return money_text(amount, schedule.currency, language=language, code=True)

    tier = schedule.tier_name_fr if language == "fr" else schedule.tier_name_en
    rows = [(_("Yearly dues (%(tier)s)") % {"tier": tier}, money(schedule.dues))]
    rows.append((_("Dues are invoiced"), _dues_every(schedule)))
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
    if events := schedule.event_hubs:
        rows.append((_("Event hubs included in a year"), number_text(events.included_per_year, language=language)))
        rows.append((_("Each further event hub"), money(events.price_each)))
        rows.append((_("An event hub stays at most"), days_text(events.longest_days)))
    hours = number_text(schedule.included_support_hours, language=language)
    rows += [
        (_("Support hours included in a month"), hours),
        (_("Each further hour of support"), money(schedule.support_hourly_rate)),
        (_("Monthly fee of a hub that service credits are reckoned on"), money(schedule.creditable_monthly_fee)),
    ]
    rows += [
        (_("The same of the hub %(hub)s") % {"hub": each.hub}, money(each.fee)) for each in schedule.creditable_fees
    ]
    rows.append((_("Cloud cost"), _("Passed on at cost, shared by use")))
    if allocation := schedule.allocation:
        rows.append((_("How shared cost is split"), bilingual(allocation, "policy", language)))
        rows.append((_("Notice before the split changes"), days_text(allocation.notice_days)))
    return tuple(rows)


def _dues_every(schedule: Schedule) -> str:
    return {
        "month": _("Every month"),
        "quarter": _("Every quarter, in advance"),
        "year": _("Every year, in advance"),
    }[schedule.dues_every]


def _payment(schedule: Schedule, language: str) -> tuple[Row, ...]:
    rule = schedule.order_rule
    rows = [
        (_("Invoices are due within"), days_text(schedule.payment_days)),
        (_("Purchase order"), _("Needed on every invoice") if schedule.po_required else _("Not needed")),
    ]
    if schedule.po_required:
        share = percent_text(rule.warn_share, language=language, digits=0)
        words = _("When %(share)s of it is used, or %(days)d days before its end")
        rows.append(
            (_("The member is asked to renew its purchase order"), words % {"share": share, "days": rule.warn_days})
        )
    if tax := schedule.tax:
        words_of = {"taxable": _("Taxable"), "exempt": _("Exempt")}
        rows += [(_("Tax on dues"), words_of[tax.dues]), (_("Tax on use"), words_of[tax.usage])]
        if note := bilingual(tax, "note", language) if tax.note_en else "":
            rows.append((_("About tax"), note))
    return tuple(rows)


def _entitlements(schedule: Schedule, language: str) -> tuple[Row, ...]:
    limits = schedule.entitlements
    gib = f"\N{NO-BREAK SPACE}{_('GiB')}"
    rows = [
        (_("Hubs"), number_text(limits.hubs, language=language)),
        (_("Environments"), ", ".join(limits.environments)),
        (
            _("Memory of a server, at most"),
            number_text(limits.memory_limit_bytes // GIB, language=language) + gib,
        ),
        (_("Servers at once in a hub, at most"), number_text(limits.max_servers, language=language)),
        (_("Regions"), ", ".join(limits.regions)),
        (
            _("A new hub within these limits"),
            _("Needs no approval") if schedule.hub_approval == "none" else _("Is approved by the consortium"),
        ),
    ]
    if limits.home_limit_bytes:
        rows.append(
            (_("Home of a person, at most"), number_text(limits.home_limit_bytes // GIB, language=language) + gib)
        )
    return tuple(rows)


def _service_level(schedule: Schedule, language: str) -> tuple[Row, ...]:
    level = schedule.service_level
    rows = [(_("Availability of a hub in a month"), percent_text(level.availability, language=language, digits=2))]
    for credit in level.credits:
        label = _("Credit below %(share)s") % {"share": percent_text(credit.below, language=language, digits=2)}
        value = _("%(share)s of the monthly fee") % {"share": percent_text(credit.credit, language=language, digits=0)}
        rows.append((label, value))
    if not level.severities:
        rows.append((_("First answer to an urgent request"), hours_text(level.urgent_response_hours)))
        rows.append((_("First answer to any other request"), hours_text(level.response_hours)))
    hours = _("%(count)d hours") % {"count": level.maintenance_notice_hours}
    rows.append((_("Maintenance is announced ahead by at least"), hours))
    if recovery := schedule.recovery:
        lost = _("%(count)d hours") % {"count": recovery.home_rpo_hours}
        back = _("%(count)d hours") % {"count": recovery.home_rto_hours}
        rows.append((_("Work lost from homes after a failure, at most (RPO)"), lost))
        rows.append((_("Homes are back after a failure within (RTO)"), back))
    return tuple(rows)
