"""New prices by notice: a version that the consortium signs and announces, and that holds from its first day on.

Only prices may change so; everything else is an amendment, which the member signs.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Invalid
from consortium.kernel.periods import local_date
from consortium.kernel.spoken import spoken_day
from members.agreements.content import content_sha256
from members.agreements.cover import LIVE, check_term
from members.agreements.drafting import TEXTS
from members.agreements.history import add_event, revision_number
from members.agreements.signing import add_consortium_signature
from members.models import Agreement, Signature, User
from members.permissions import Permission, check_staff
from members.schedule import Schedule
from members.states import AGREEMENT

PRICES: Final = frozenset(
    {
        "dues",
        "slabs",
        "support_hourly_rate",
        "included_support_hours",
        "creditable_monthly_fee",
        "creditable_fees",
        "event_hubs",
        "version",
    }
)


class NotOnlyPrices(Invalid):
    """A notice of new prices changes something else too."""

    code = "not_only_prices"


class NoticeTooShort(Invalid):
    """The first day of the new prices comes before the notice is over."""

    code = "notice_too_short"


class IncreaseTooLarge(Invalid):
    """A price rises by more than the agreement lets one notice raise it."""

    code = "increase_too_large"


@transaction.atomic
def announce_prices(agreement: Agreement, *, name: str, title: str, by: User, at: datetime) -> Signature:
    """Sign a draft of new prices for the consortium and tell the member; it holds from its first day by itself.

    Raises Forbidden, NotOnlyPrices, NoticeTooShort, IncreaseTooLarge, TermsOverlap, TransitionRefused.
    """
    check_staff(by, Permission.COUNTERSIGN_AGREEMENT)
    Agreement.objects.select_for_update().get(pk=agreement.pk)
    agreement.refresh_from_db()
    now_holds = agreement.follows
    if agreement.kind != "prices" or now_holds is None:
        raise NotOnlyPrices(_("This draft is no notice of new prices. Offer it for signature."))
    if now_holds.status not in LIVE:
        raise Invalid(_("The version whose prices change is not in force any more."))
    check_prices(now_holds, agreement, at=at)
    check_term(agreement)
    signature = add_consortium_signature(agreement, wanted="announced", name=name, title=title, by=by, at=at)
    AGREEMENT.move(agreement, "announced")
    add_event(
        agreement,
        "announced",
        side="consortium",
        by=by,
        at=at,
        day=agreement.starts_on,
        revision=revision_number(agreement),
    )
    audit.record(
        "members.agreement_announced",
        agreement,
        by=by,
        at=at,
        institution_id=agreement.institution_id,
        before={"status": "draft"},
        after={"status": "announced", "content_sha256": content_sha256(agreement), "starts_on": agreement.starts_on},
        deliver_to=("members.mail_agreement_changed",),
    )
    return signature


def check_prices(old: Agreement, new: Agreement, *, at: datetime) -> None:
    """Raise NotOnlyPrices, NoticeTooShort or IncreaseTooLarge unless `new` may follow `old` by notice alone."""
    was, will = Schedule.parse(old.schedule), Schedule.parse(new.schedule)
    same_text = all(getattr(old, name) == getattr(new, name) for name in (*TEXTS, "currency", "zone", "ends_on"))
    if not same_text or _other_terms(was) != _other_terms(will):
        raise NotOnlyPrices(_("Only prices may change by notice. Offer an amendment for everything else."))
    soonest = local_date(at, old.zone) + timedelta(days=was.price_notice_days)
    if new.starts_on < soonest:
        raise NoticeTooShort(
            _("The agreement asks for %(days)d days of notice of new prices: they begin on %(day)s or later.")
            % {"days": was.price_notice_days, "day": spoken_day(soonest)},
            field="starts_on",
        )
    if was.max_price_increase is None:
        return
    for what, before, after in _pairs(was, will):
        if after > before * (1 + was.max_price_increase):
            raise IncreaseTooLarge(
                _("%(what)s rises from %(before)s to %(after)s, more than the agreement allows one notice.")
                % {"what": what, "before": before, "after": after}
            )


def _other_terms(schedule: Schedule) -> dict[str, object]:
    return schedule.model_dump(exclude=set(PRICES))


def _pairs(was: Schedule, will: Schedule) -> Iterator[tuple[str, Decimal, Decimal]]:
    """Each price before and after; the price of a user is compared at every number where either list changes it."""
    yield _("The yearly dues"), was.dues, will.dues
    yield _("The hour of support"), was.support_hourly_rate, will.support_hourly_rate
    bounds = {slab.up_to for slab in (*was.slabs, *will.slabs) if slab.up_to is not None}
    for number in sorted({1, *bounds, *(bound + 1 for bound in bounds)}):
        yield _("The price of user %(number)d") % {"number": number}, _price_of(was, number), _price_of(will, number)
    if was.event_hubs and will.event_hubs:
        yield _("The event hub"), was.event_hubs.price_each, will.event_hubs.price_each


def _price_of(schedule: Schedule, number: int) -> Decimal:
    return next(slab.unit_price for slab in schedule.slabs if slab.up_to is None or number <= slab.up_to)
