"""Agreements in each state of their life, and the steps between them: Birch, Alma its owner, Sam of the staff."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from consortium.kernel.audit import System
from members import agreements
from members.agreements import lifecycle
from members.agreements.drafting import TEXTS
from members.models import Agreement, AgreementTemplate, Institution, Seat, User
from members.roles import Role
from members.schedule import Schedule
from tests.cast import Cast
from tests.unit.members.story import FIRST_DAY, in_force, offered, signed

SETUP = System("test")


@dataclass(frozen=True)
class Place:
    """Who and what the builders of a state need."""

    cast: Cast
    birch: Institution
    template: AgreementTemplate
    at: datetime

    @property
    def people(self) -> dict[str, Any]:
        """As tests/unit/members/story.py wants them."""
        return {"by": self.cast.stranger, "staff": self.cast.staff, "at": self.at}


def noon(day: date) -> datetime:
    """Midday in Halifax or thereabouts: the same day all over Canada."""
    return datetime(day.year, day.month, day.day, 16, tzinfo=UTC)


def edit(agreement: Agreement, *, by: User, at: datetime, note: str = "", **changes: Any) -> Agreement:
    """Edit a draft: texts, `terms` of the schedule, days."""
    texts = {name: changes.pop(name, getattr(agreement, name)) for name in TEXTS}
    schedule = agreement.schedule | changes.pop("terms", {})
    days = {name: changes.pop(name, getattr(agreement, name)) for name in ("starts_on", "ends_on")}
    assert not changes
    return agreements.edit_draft(agreement, texts=texts, schedule=schedule, **days, note=note, by=by, at=at)


def sign_both(agreement: Agreement, place: Place, *, at: datetime | None = None) -> Agreement:
    """Offer it where it is a draft; the owner and the consortium sign."""
    at = at or place.at
    if agreement.status == "draft":
        agreements.offer_agreement(agreement, by=place.cast.staff, at=at)
    agreements.sign_agreement(
        agreement, name="Alma Birch", title="VP", language="en", consent=True, by=place.cast.stranger, at=at
    )
    agreements.countersign_agreement(agreement, name="Sam", title="Director", by=place.cast.staff, at=at)
    return agreement


def make_owner(user: User, institution: Institution, at: datetime) -> None:
    """Give somebody the owner's seat."""
    Seat.objects.create(institution=institution, user=user, role=Role.OWNER, created_at=at)


def draft(place: Place) -> Agreement:
    """A first agreement that staff write."""
    make_owner(place.cast.stranger, place.birch, place.at)
    return agreements.draft_agreement(
        institution=place.birch,
        template=place.template,
        fte=9_000,
        po_required=False,
        starts_on=FIRST_DAY,
        by=place.cast.staff,
        at=place.at,
    )


def announced(place: Place) -> Agreement:
    """New prices that the consortium has announced for a year later."""
    agreement = in_force(place.birch, **place.people)
    change = agreements.draft_change(
        agreement, kind="prices", starts_on=date(2027, 4, 1), by=place.cast.staff, at=place.at
    )
    edit(change, by=place.cast.staff, at=place.at, terms={"dues": "6300.00"})
    agreements.announce_prices(change, name="Sam", title="Director", by=place.cast.staff, at=place.at)
    return change


def suspended(place: Place) -> Agreement:
    """In force, and suspended."""
    agreement = in_force(place.birch, **place.people)
    agreements.suspend_agreement(agreement, reason="Unpaid.", by=place.cast.staff, at=place.at)
    return agreement


def terminating(place: Place) -> Agreement:
    """In force, and the owner has given notice."""
    agreement = in_force(place.birch, **place.people)
    last_day = agreements_soonest(agreement, place.at)
    agreements.give_notice(
        agreement, side="member", last_day=last_day, reason="We leave.", by=place.cast.stranger, at=place.at
    )
    return agreement


def superseded(place: Place) -> Agreement:
    """An amendment of the same first day has taken over."""
    agreement = in_force(place.birch, **place.people)
    change = agreements.draft_change(agreement, kind="amendment", starts_on=FIRST_DAY, by=place.cast.staff, at=place.at)
    sign_both(change, place)
    agreement.refresh_from_db()
    return agreement


def ended(place: Place) -> Agreement:
    """Notice was given and its last day is over."""
    agreement = terminating(place)
    assert agreement.covered_until is not None
    lifecycle.run_due(at=noon(agreement.covered_until))
    agreement.refresh_from_db()
    return agreement


def withdrawn(place: Place) -> Agreement:
    """Offered and taken back."""
    agreement = offered(place.birch, **place.people)
    agreements.withdraw_agreement(agreement, reason="A mistake.", by=place.cast.staff, at=place.at)
    return agreement


def agreements_soonest(agreement: Agreement, at: datetime) -> date:
    """The soonest last day under the notice of the schedule."""
    return at.date() + timedelta(days=Schedule.parse(agreement.schedule).notice_days)


BUILDERS: dict[str, Callable[[Place], Agreement]] = {
    "draft": draft,
    "offered": lambda place: offered(place.birch, **place.people),
    "signed": lambda place: signed(place.birch, **place.people),
    "announced": announced,
    "in_force": lambda place: in_force(place.birch, **place.people),
    "suspended": suspended,
    "terminating": terminating,
    "superseded": superseded,
    "ended": ended,
    "withdrawn": withdrawn,
}
