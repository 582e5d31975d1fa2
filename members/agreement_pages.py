"""What the pages of an agreement show: its history, what changed since when, and the version that may be read."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from consortium.kernel.formats import day_text
from consortium.kernel.language import bilingual
from members.agreement_document import clauses_html
from members.agreements.differences import Difference, differences
from members.agreements.history import offered_revisions
from members.models import Agreement, AgreementEvent, AgreementRevision, Signature
from members.queries import Event
from members.schedule_table import schedule_parts

TONES = {
    "offered": "warning",
    "announced": "warning",
    "change_requested": "warning",
    "suspended": "danger",
    "notice_given": "warning",
    "withdrawn": "neutral",
    "resumed": "success",
    "began": "success",
}


@dataclass(frozen=True)
class Comparison:
    """What changed since an earlier text, in words for a heading, in both languages."""

    key: str
    title: str
    differences: tuple[Difference, ...]

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing changed in either language."""
        return all(each.is_empty for each in self.differences)


def readable(agreement: Agreement) -> Any:
    """What the institution may read: the agreement, or while it is revised the text that was offered last."""
    if agreement.status != "draft":
        return agreement
    offered = offered_revisions(agreement)
    return offered[-1] if offered else agreement


def comparisons(agreement: Agreement) -> list[Comparison]:
    """What changed since the offer before this one, and since the version that this one would replace."""
    offered, now = offered_revisions(agreement), readable(agreement)
    found = []

    def told(old: Any) -> tuple[Difference, ...]:  # the language of the page first
        language = (get_language() or "en")[:2]
        return tuple(sorted(differences(old, now), key=lambda each: each.language != language))

    if len(offered) > 1:
        found.append(Comparison("offer", _("Since the offer that you sent back"), told(offered[-2])))
    if agreement.follows is not None:
        title = _("Since version %(version)d") % {"version": agreement.follows.version}
        found.append(Comparison("version", title, told(agreement.follows)))
    return found


def revision_comparisons(agreement: Agreement, *, one: int, two: int) -> tuple[Difference, ...]:
    """What changed between two revisions, by their numbers. Raises AgreementRevision.DoesNotExist."""
    rows = AgreementRevision.objects.select_related("agreement__issuer", "institution")
    pair = {number: rows.get(agreement=agreement, number=number) for number in {one, two}}
    return differences(pair[one], pair[two])


def text_context(row: Any, *, language: str) -> dict[str, Any]:
    """The text of an agreement or revision in one language, for templates/members/_agreement_text.html."""
    return {
        "text": language,
        "texts": [("en", "English"), ("fr", "Français")],
        "title": bilingual(row, "title", language),
        "clauses": clauses_html(bilingual(row, "clauses", language), level=3),
        "parts": schedule_parts(row, language=language),
    }


def agreement_timeline(agreement: Agreement, *, language: str) -> list[Event]:
    """What happened to an agreement, newest first, as both sides read it."""
    words = _event_words()
    events = []
    for row in AgreementEvent.objects.filter(agreement=agreement).select_related("author", "institution"):
        if row.kind == "reminded" and row.day is None:
            continue
        title = words.get(row.kind, row.kind)
        if row.day is not None:
            title = f"{title} ({day_text(row.day, language=language)})"
        events.append(Event(at=row.at, title=title, actor=_actor(row), body=row.text, tone=TONES.get(row.kind, "info")))
    for signature in Signature.objects.filter(agreement=agreement):
        title = _("Signed for the institution") if signature.side == "member" else _("Signed for the consortium")
        events.append(Event(at=signature.at, title=title, actor=signature.name, tone="success"))
    return sorted(events, key=lambda event: event.at, reverse=True)


def _actor(row: AgreementEvent) -> str:
    if row.side == "portal":
        return _("The portal")
    if row.side == "consortium":
        return _("The consortium")
    return str(row.author) if row.author else str(row.institution.name)


def _event_words() -> dict[str, str]:
    return {
        "offered": _("Offered for signature"),
        "change_requested": _("Sent back with a wish for change"),
        "commented": _("Remark"),
        "withdrawn": _("Taken back"),
        "announced": _("New prices announced"),
        "suspended": _("Suspended"),
        "resumed": _("Resumed"),
        "notice_given": _("Notice given: last day"),
        "notice_withdrawn": _("Notice taken back"),
        "renewal_offered": _("Renewal offered"),
        "reminded": _("Reminder of the last day sent"),
        "superseded": _("A newer version took over"),
        "ended": _("Ended"),
        "began": _("New prices hold"),
    }
