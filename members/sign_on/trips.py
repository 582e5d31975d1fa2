"""A trip to an identity provider and back: what the browser's session remembers meanwhile. One use, ten minutes."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.http import HttpRequest
from django.utils.translation import gettext as _

from members.sign_on.errors import SignOnRefused

KEY: Final = "sign_on_trips"
LASTS: Final = timedelta(minutes=10)
MOST: Final = 5


@dataclass(frozen=True, kw_only=True)
class Trip:
    """Why somebody was sent away. `purpose` is "sign_in", or "test", which signs nobody in."""

    sign_on: str
    purpose: str
    language: str
    next: str = ""
    nonce: str = ""
    verifier: str = ""
    began: str = ""


def remember(request: HttpRequest, key: str, trip: Trip, *, at: datetime) -> None:
    """Keep a trip under the state or request id that must come back; the oldest of too many is forgotten."""
    kept: dict[str, Any] = dict(request.session.get(KEY, {}))
    kept[key] = {**asdict(trip), "began": at.isoformat()}
    newest = sorted(kept.items(), key=lambda item: str(item[1]["began"]))[-MOST:]
    request.session[KEY] = dict(newest)


def take(request: HttpRequest, key: str, *, at: datetime) -> Trip:
    """Return the trip and forget it. Raises SignOnRefused when this browser made none, or too long ago."""
    kept: dict[str, Any] = dict(request.session.get(KEY, {}))
    values = kept.pop(key, None)
    request.session[KEY] = kept
    if values is None or at - datetime.fromisoformat(values["began"]) > LASTS:
        raise SignOnRefused(
            _("This sign-in was not begun in this browser, or it took longer than ten minutes. Begin again."),
            reason="the state is unknown, used or too old",
        )
    return Trip(**values)
