"""Agreements in the middle of their life: an amendment that waits for a signature, new prices, a remark."""

from datetime import datetime, timedelta
from decimal import Decimal

from consortium.kernel.errors import PortalError
from consortium.kernel.periods import Month, local_date
from members import agreements
from members.agreements.drafting import TEXTS
from members.models import Agreement, AgreementEvent, User
from members.schedule import Schedule

PRICES_OF = "mun"


def tell_agreements(*, newcomer: str, owner: User, staff: User, at: datetime) -> None:
    """Make what is missing; safe to start over. Needs a consortium scope."""
    joined = _in_force(newcomer)
    if joined is not None and not _has(joined, "amendment"):
        _offer_third_hub(joined, staff, at)
    if joined is not None and not AgreementEvent.objects.filter(agreement=joined, kind="commented").exists():
        agreements.comment(
            joined, side="member", text="The faculty of education would like a hub of its own.", by=owner, at=at
        )
        agreements.comment(
            joined, side="consortium", text="Gladly: see the amendment that we offer for it.", by=staff, at=at
        )
    other = _in_force(PRICES_OF)
    if other is not None and not _has(other, "prices"):
        _announce_prices(other, staff, at)


def _in_force(slug: str) -> Agreement | None:
    rows = Agreement.objects.filter(institution__slug=slug, kind="first", status="in_force")
    return rows.select_related("institution", "issuer").first()


def _has(agreement: Agreement, kind: str) -> bool:
    return Agreement.objects.filter(follows=agreement, kind=kind).exists()


def _offer_third_hub(agreement: Agreement, staff: User, at: datetime) -> None:
    month = Month.of(local_date(at, agreement.zone)).plus(2)
    draft = agreements.draft_change(agreement, kind="amendment", starts_on=month.first_day, by=staff, at=at)
    schedule = Schedule.parse(draft.schedule)
    limits = schedule.entitlements.model_copy(update={"hubs": schedule.entitlements.hubs + 1})
    agreements.edit_draft(
        draft,
        texts={name: getattr(draft, name) for name in TEXTS}
        | {
            "clauses_en": f"{draft.clauses_en}\n## 9. A hub of the faculty of education\n\n"
            "The third hub of this amendment is for the faculty of education, which names its own representatives.\n",
            "clauses_fr": f"{draft.clauses_fr}\n## 9. Un hub de la faculté d'éducation\n\n"
            "Le troisième hub de la présente modification est destiné à la faculté d'éducation, qui nomme ses propres "
            "représentants.\n",
        },
        schedule=schedule.model_copy(update={"entitlements": limits}),
        starts_on=draft.starts_on,
        ends_on=draft.ends_on,
        note="A third hub, for the faculty of education",
        by=staff,
        at=at,
    )
    agreements.offer_agreement(draft, by=staff, at=at)


def _announce_prices(agreement: Agreement, staff: User, at: datetime) -> None:
    schedule = Schedule.parse(agreement.schedule)
    soonest = local_date(at, agreement.zone) + timedelta(days=schedule.price_notice_days)
    try:
        draft = agreements.draft_change(
            agreement, kind="prices", starts_on=Month.of(soonest).next().first_day, by=staff, at=at
        )
    except PortalError:
        return  # a home that was made before prices could change by notice
    agreements.edit_draft(
        draft,
        texts={name: getattr(draft, name) for name in TEXTS},
        schedule=schedule.model_copy(update={"dues": (schedule.dues * Decimal("1.03")).quantize(Decimal("0.01"))}),
        starts_on=draft.starts_on,
        ends_on=draft.ends_on,
        note="Dues rise by 3 %",
        by=staff,
        at=at,
    )
    agreements.announce_prices(draft, name=staff.name, title="Executive Director", by=staff, at=at)
