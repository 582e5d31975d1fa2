"""Where a person is signed in: listed for that person, ended one by one, all at once, or because access ended.

Of a browser no more is kept than its owner needs to know it again: its kind, and the network it came from.
"""

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef
from django.db.models.signals import pre_save
from django.dispatch import receiver
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Missing
from members.models import User

# The first name that a browser's description has decides; most browsers call themselves by others' names too.
BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
NETWORK_BITS: Final = {4: 24, 6: 48}


class SessionUnknown(Missing):
    """The person has no such session, or it has ended."""

    code = "session_unknown"


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """One session as its person sees it: `device` is empty when the browser said nothing that we know."""

    key: int
    device: str
    network: str
    since: datetime
    is_current: bool


def device_words(user_agent: str) -> str:
    """The kind of browser and system that a browser's description names, such as "Firefox, Linux"."""
    found = [next((word for sign, word in names if sign in user_agent), "") for names in (BROWSERS, SYSTEMS)]
    return ", ".join(word for word in found if word)


def network_of(address: str) -> str:
    """The address without its last part: /24 of IPv4, /48 of IPv6. What is no address stays as it is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, NETWORK_BITS[parsed.version]), strict=False).network_address)


@receiver(pre_save, sender=UserSession)
def keep_little(instance: UserSession, **_: Any) -> None:
    """Keep the kind of browser instead of its description, and the network instead of the address."""
    known = {word for names in (BROWSERS, SYSTEMS) for _sign, word in names}
    words = instance.user_agent.split(", ")
    if not set(words) <= known:
        instance.user_agent = device_words(instance.user_agent)
    instance.ip = network_of(instance.ip)


def sessions_of(user: User, *, current_key: str | None) -> list[SignedIn]:
    """The person's live sessions, the present one first, then the newest."""
    rows = [
        SignedIn(
            key=row.pk,
            device=row.user_agent,
            network=row.ip,
            since=row.created_at,
            is_current=row.session_key == current_key,
        )
        for row in UserSession.objects.purge_and_list(user)
    ]
    return sorted(rows, key=lambda row: (not row.is_current, -row.since.timestamp()))


def end_session(user: User, key: int, *, at: datetime) -> None:
    """End one of the person's own sessions: its next request is anonymous. Raises SessionUnknown."""
    row = UserSession.objects.filter(user=user, pk=key).first()
    if row is None:
        raise SessionUnknown(_("This session has ended already."))
    row.end()
    audit.record("members.session_ended", user, by=user, at=at, institution_id=None, after={"sessions": 1})


def end_other_sessions(user: User, *, current_key: str | None, at: datetime) -> int:
    """End every session of the person but the present one; returns how many."""
    ended = end_sessions(user, but=current_key)
    if ended:
        audit.record("members.session_ended", user, by=user, at=at, institution_id=None, after={"sessions": ended})
    return ended


def end_sessions(user: User, *, but: str | None = None) -> int:
    """Sign a person out everywhere at once; returns from how many sessions. The caller audits why."""
    rows = list(UserSession.objects.filter(user=user).exclude(session_key=but or ""))
    for row in rows:
        row.end()
    return len(rows)


def forget_sessions(*, at: datetime) -> int:
    """Forget what was kept of sessions that are over; returns how many rows went."""
    Session.objects.filter(expire_date__lt=at).delete()
    live = Session.objects.filter(session_key=OuterRef("session_key"))
    lifetime = timedelta(seconds=settings.SESSION_COOKIE_AGE)
    over = UserSession.objects.filter(~Exists(live), created_at__lt=at - lifetime)
    return int(over.delete()[0])
