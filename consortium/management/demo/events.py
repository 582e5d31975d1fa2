"""The newcomer books an exam: in a few days, included in its agreement. Safe to start over."""

from datetime import datetime, timedelta

from consortium.kernel.periods import Period
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import User
from provisioning.events.booking import EventWish, book_event
from provisioning.models import EventWindow, Hub


def tell_events(*, hub: Hub, by: User, at: datetime) -> None:
    """Book the exam, unless something is booked already."""
    with consortium_scope(Scope.COMMAND):
        if EventWindow.objects.filter(hub=hub).exists():
            return
        start = (at + timedelta(days=9)).replace(hour=17, minute=0, second=0, microsecond=0)
        wish = EventWish(
            kind="exam",
            title="Midterm STAT 255 (demonstration data)",
            expected_users=120,
            period=Period(start, start + timedelta(hours=3)),
        )
        book_event(hub, wish=wish, by=by, at=at)
