"""Where an application stands on its way to a first hub: the steps, whose turn it is, how long each usually takes."""

from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from members.models import Agreement, AgreementTemplate, Application
from members.onboarding import NoTemplate, newest_template
from members.queries import Standing, standing
from members.schedule import ScheduleTemplate, Tier

ENOUGH: Final = 3  # so many decisions before our own history says how long a review takes
_PLACE: Final = {"draft": 0, "submitted": 1, "questioned": 1}
_AGREED: Final = {"draft": 2, "offered": 3, "signed": 4, "in_force": 5, "superseded": 5}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the way: what it is, whether it is done, and how long it usually takes."""

    label: str
    hint: str
    status: str
    tone: str


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """The tier that a size leads to, with its yearly dues in the currency of the template."""

    tier: Tier
    dues: Decimal
    currency: str


def newest_agreement(application: Application) -> Agreement | None:
    """Return what is being negotiated or agreed with an approved applicant; the consortium's own drafts too."""
    if application.status != "approved":
        return None
    agreements = Agreement.objects.filter(institution_id=application.institution_id).exclude(status="withdrawn")
    return agreements.select_related("issuer").order_by("-version").first()


def standing_of(application: Application, agreement: Agreement | None) -> Standing:
    """Return where the application stands; once approved, whose turn it is depends on the agreement."""
    own = standing(application)
    if agreement is None:
        return own
    next_one = standing(agreement)
    return replace(own, owner=next_one.owner, next_step=next_one.next_step)


def steps_of(application: Application, agreement: Agreement | None) -> list[Step]:
    """Return the whole way with its present place; nothing for an application that went nowhere."""
    if application.status in ("declined", "withdrawn"):
        return []
    now_at = _AGREED.get(agreement.status, 2) if agreement else _PLACE.get(application.status, 2)
    words = [
        (_("Apply"), _("A quarter of an hour; you can stop and return.")),
        (_("Review"), _usual_review()),
        (_("The consortium offers the agreement"), _("Usually within five working days of the approval.")),
        (_("Your university signs"), _("As long as your university needs.")),
        (_("The consortium countersigns"), _("Usually within five working days.")),
        (_("You are a member and request your first hub"), _("A hub is set up in a few minutes.")),
    ]
    return [_step(label, hint, place - now_at) for place, (label, hint) in enumerate(words)]


def _step(label: str, hint: str, ahead: int) -> Step:
    if ahead < 0:
        return Step(label=label, hint="", status=_("Done"), tone="success")
    if ahead == 0:
        return Step(label=label, hint=hint, status=_("Now"), tone="info")
    return Step(label=label, hint=hint, status=_("Ahead"), tone="neutral")


def _usual_review() -> str:
    """Say how long reviews took: the median of the last decisions, or what we promise while there are too few."""
    decided = Application.objects.filter(status__in=["approved", "declined"], submitted_at__isnull=False)
    spans = [
        (row.decided_at - row.submitted_at).days
        for row in decided.order_by("-decided_at").only("submitted_at", "decided_at")[:20]
        if row.decided_at and row.submitted_at
    ]
    if len(spans) < ENOUGH:
        return _("Usually within ten working days.")
    days = max(1, round(median(spans)))
    return ngettext("Usually %(count)d day.", "Usually %(count)d days.", days) % {"count": days}


def suggest_tier(fte: int | None, currency: str) -> Suggestion | None:
    """Return the tier of so many students (FTE) in the newest template of the currency; None where either lacks."""
    if not fte:
        return None
    try:
        template: AgreementTemplate = newest_template(currency)
    except NoTemplate:
        return None
    schedule = ScheduleTemplate.parse(template.schedule)
    tier = schedule.tier_for(fte)
    return Suggestion(tier=tier, dues=tier.dues, currency=schedule.currency)
