"""What the pages of support show: the list with its clocks, and one request with all that was said."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise as Words
from django.utils.translation import gettext_lazy as _

from consortium.kernel.language import bilingual
from consortium.models import Document
from members.models import Institution
from provisioning.models import SupportClock, SupportMessage, SupportRequest
from provisioning.support.attachments import files_of
from provisioning.support.clocks import warn_at
from provisioning.support_states import SUPPORT

OPEN = ("open", "answered", "waiting", "resolved")
WORDS: Mapping[str, tuple[str, Words]] = {
    "open": ("info", _("Waits for the consortium")),
    "answered": ("info", _("Is being worked on")),
    "waiting": ("warning", _("Waits for you")),
    "resolved": ("success", _("Resolved")),
    "closed": ("neutral", _("Closed")),
}


@dataclass(frozen=True, kw_only=True)
class ClockView:
    """The clock that runs: `state` is "running", "near" its end or "late"."""

    clock: SupportClock
    state: str
    tone: str


@dataclass(frozen=True, kw_only=True)
class RequestRow:
    """A request of the list."""

    request: SupportRequest
    tone: str
    words: Words
    clock: ClockView | None


@dataclass(frozen=True, kw_only=True)
class Said:
    """A message of the thread with its files; `moved` says the state when it changed with this message."""

    message: SupportMessage
    who: str
    files: tuple[Document, ...]
    moved: tuple[str, Words] | None

    @property
    def tone(self) -> str:
        """The consortium's words stand out."""
        return "info" if self.message.side == "consortium" else "neutral"


@dataclass(frozen=True, kw_only=True)
class RequestView:
    """One request as the university sees it. `first` is the clock of the first answer, None where none was promised."""

    row: RequestRow
    next_step: str
    first: SupportClock | None
    said: tuple[Said, ...]


def request_rows(
    institution: Institution, *, hub_slug: str = "", closed: bool = False, at: datetime
) -> list[RequestRow]:
    """Will return the university's requests, newest first, at most 200. Needs its scope; two queries."""
    rows = SupportRequest.objects.filter(institution=institution).select_related("hub").prefetch_related("clocks")
    rows = rows.filter(status="closed") if closed else rows.filter(status__in=OPEN)
    rows = rows.filter(hub__slug=hub_slug) if hub_slug else rows
    return [request_row(row, at=at) for row in rows[:200]]


def request_row(request: SupportRequest, *, at: datetime) -> RequestRow:
    """Will return a request with how it stands."""
    tone, words = WORDS[request.status]
    running = next((clock for clock in request.clocks.all() if clock.stopped_at is None), None)
    return RequestRow(request=request, tone=tone, words=words, clock=clock_view(running, at=at) if running else None)


def clock_view(clock: SupportClock, *, at: datetime) -> ClockView:
    """Will say how far a running clock is."""
    if at > clock.due_at:
        return ClockView(clock=clock, state="late", tone="danger")
    near = at >= warn_at(clock.started_at, clock.due_at)
    return ClockView(clock=clock, state="near" if near else "running", tone="warning" if near else "info")


def request_view(request: SupportRequest, *, at: datetime) -> RequestView:
    """Will gather the page of one request for its university: staff's notes are left out."""
    messages = list(request.messages.filter(internal=False).select_related("author"))
    row = request_row(request, at=at)
    return RequestView(
        row=row,
        next_step=bilingual(SUPPORT.state(request.status), "next"),
        first=next((clock for clock in request.clocks.all() if clock.kind == "response"), None),
        said=tuple(_thread(messages)),
    )


def _thread(messages: list[SupportMessage]) -> Iterable[Said]:
    files: dict[str, list[Document]] = {}
    for document in files_of(messages):
        files.setdefault(document.subject_id, []).append(document)
    before = "open"
    for message in messages:
        yield Said(
            message=message,
            who=str(message.author or ""),
            files=tuple(files.get(str(message.pk), ())),
            moved=WORDS[message.status] if message.status != before else None,
        )
        before = message.status
