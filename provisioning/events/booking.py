"""Booking, moving and cancelling an event; the agreement bounds how long it is, and prices those beyond the year's."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Invalid
from consortium.kernel.formats import money_text
from consortium.kernel.periods import Period
from consortium.kernel.spoken import spoken_instant
from consortium.kernel.states import TransitionRefused
from members.models import Institution, User
from members.permissions import Permission, check_at, check_staff
from provisioning.event_states import EVENT
from provisioning.events.allowance import Allowance, allowance_of
from provisioning.hands_off import QUIET
from provisioning.models import EventWindow, Hub, Maintenance

# Sooner than that the hub could not be got ready for it.
AHEAD: Final = timedelta(hours=2)
BOOKABLE: Final = ("requested", "approved", "provisioning", "running", "updating", "degraded")
MAIL: Final = "provisioning.mail_event"


class EventOverlaps(Invalid):
    """Another event of the hub is on then."""

    code = "event_overlaps"


@dataclass(frozen=True, kw_only=True)
class EventWish:
    """What is booked; `accepts_price` says that the price beyond the included events was read and accepted."""

    kind: str
    title: str
    expected_users: int
    period: Period
    accepts_price: bool = False


@transaction.atomic
def book_event(hub: Hub, *, wish: EventWish, by: User, at: datetime) -> EventWindow:
    """Will book the dates: in them nothing is done to the hub and nobody's server is culled. Operators are told.

    Raises Forbidden, NoAgreement, EntitlementExceeded, EventOverlaps, and Invalid for dates that are too soon or too
    long, that meet announced maintenance, or whose price is not accepted. Needs the institution's scope.
    """
    check_at(by, Permission.REQUEST_HUB, hub.institution_id)
    if hub.status not in BOOKABLE:
        raise Invalid(_("Only a hub that runs, or will run, can have events."))
    _one_at_a_time(hub)
    _check_soon_enough(wish.period.start, at)
    allowance = allowance_of(hub, starting=wish.period.start, at=at)
    _check_dates(hub, wish.period, allowance)
    event = EventWindow(
        institution_id=hub.institution_id,
        hub=hub,
        kind=wish.kind,
        title=wish.title.strip(),
        expected_users=wish.expected_users,
        booked_by=by,
        booked_at=at,
    )
    _price(event, allowance, accepts=wish.accepts_price)
    _write(event, wish.period)
    _record("booked", event, by=by, at=at)
    return event


@transaction.atomic
def move_event(event: EventWindow, *, period: Period, accepts_price: bool = False, by: User, at: datetime) -> None:
    """Will give the event other dates; once it is about to begin only its end may move, and not into the past.

    Raises what `book_event` raises, and TransitionRefused for one that is over or cancelled.
    """
    check_at(by, Permission.REQUEST_HUB, event.institution_id)
    _one_at_a_time(event.hub)
    row = EventWindow.objects.select_for_update().get(pk=event.pk)
    if row.status != "booked" or row.ends_at <= at:
        raise TransitionRefused(_("This event is over or cancelled. Book another one."))
    if at >= row.starts_at - QUIET:
        if period.start != row.starts_at:
            raise Invalid(_("It is about to begin, or has begun: only its end can still be moved."), field="starts_at")
        if period.end <= at:
            raise Invalid(_("It cannot end in the past. Cancel it to end it now."), field="ends_at")
    else:
        _check_soon_enough(period.start, at)
    allowance = allowance_of(row.hub, starting=period.start, at=at, leaving_out=row)
    _check_dates(row.hub, period, allowance)
    before = {"from": row.starts_at, "to": row.ends_at}
    _price(row, allowance, accepts=accepts_price or row.price > 0)
    _write(row, period)
    event.refresh_from_db()
    _record("moved", row, by=by, at=at, before=before)


@transaction.atomic
def cancel_event(event: EventWindow, *, by: User, at: datetime) -> None:
    """Will call the event off, for the university or for staff; the hub is handled as ever from now on.

    Raises Forbidden, TransitionRefused once it is over.
    """
    if by.is_staff:
        check_staff(by, Permission.OPERATE_HUBS)
    else:
        check_at(by, Permission.REQUEST_HUB, event.institution_id)
    event.status = EventWindow.objects.select_for_update().get(pk=event.pk).status
    if event.ends_at <= at:
        raise TransitionRefused(_("This event is over."))
    EVENT.move(event, "cancelled", cancelled_at=at)
    _record("cancelled", event, by=by, at=at)


def _one_at_a_time(hub: Hub) -> None:
    """Two bookings at once for the last included event: the second waits and sees the first."""
    Institution.objects.select_for_update(no_key=True).get(pk=hub.institution_id)


def _check_soon_enough(start: datetime, at: datetime) -> None:
    if start < at + AHEAD:
        raise Invalid(
            _("Book at least two hours ahead, so that the hub can be got ready. Sooner, ask for support."),
            field="starts_at",
        )


def _check_dates(hub: Hub, period: Period, allowance: Allowance) -> None:
    if period.length > timedelta(days=allowance.longest_days):
        text = _("Your agreement allows events of at most %(days)d days. Book shorter ones.")
        raise Invalid(text % {"days": allowance.longest_days}, field="ends_at")
    work = Maintenance.objects.filter(
        Q(cluster=None) | Q(cluster_id=hub.cluster_id),
        cancelled_at=None,
        starts_at__lt=period.end,
        ends_at__gt=period.start,
    ).first()
    if work is not None:
        text = _(
            "Maintenance is announced from %(from)s to %(to)s: “%(title)s”. Choose other dates, or ask for support."
        )
        values = {"from": spoken_instant(work.starts_at), "to": spoken_instant(work.ends_at)}
        raise Invalid(text % {**values, "title": work.title}, field="starts_at")


def _price(event: EventWindow, allowance: Allowance, *, accepts: bool) -> None:
    event.price = allowance.price if allowance.is_priced else Decimal(0)
    event.currency = allowance.currency
    if allowance.is_priced and not accepts:
        text = _(
            "The %(included)d events that your agreement includes in %(year)d are booked: this one costs %(price)s."
        )
        price = money_text(allowance.price, allowance.currency, language=get_language() or "en")
        values = {"included": allowance.included, "year": allowance.year, "price": price}
        raise Invalid(text % values, field="accepts_price")


def _write(event: EventWindow, period: Period) -> None:
    event.starts_at, event.ends_at = period.start, period.end
    try:
        with transaction.atomic():
            event.save()
    except IntegrityError as error:
        if "eventwindow_one_at_a_time" not in str(error):
            raise
        raise EventOverlaps(
            _("Another event of this hub is on then. Choose other dates, or move that one."), field="starts_at"
        ) from error


def _record(
    what: str, event: EventWindow, *, by: User, at: datetime, before: dict[str, datetime] | None = None
) -> None:
    audit.record(
        f"provisioning.event_{what}",
        event,
        by=by,
        at=at,
        institution_id=event.institution_id,
        before=before,
        after={"from": event.starts_at, "to": event.ends_at, "price": event.price},
        deliver_to=(MAIL,),
    )
