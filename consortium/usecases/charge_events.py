"""Events beyond those that the agreement includes: charges of the month in which they began, once they are over."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db.models import F, Q

from billing.member_charges import Charge, record_charge
from billing.models import MemberCharge
from consortium.kernel.audit import System
from consortium.kernel.periods import local_month
from consortium.kernel.tenancy import Scope, consortium_scope
from members.entitlements import NoAgreement, entitlements
from members.models import Issuer
from provisioning.models import EventWindow

BY: Final = System("events")
SOURCE: Final = "provisioning.EventWindow"
LOOK_BACK: Final = timedelta(days=120)


def charge_events(*, at: datetime) -> int:
    """Will record the price of each event that took place and has one, once; returns how many were charged now."""
    with consortium_scope(Scope.JOB):
        took_place = Q(status="over") | Q(status="cancelled", cancelled_at__gt=F("starts_at"))
        priced = EventWindow.objects.filter(took_place, price__gt=0, ends_at__gt=at - LOOK_BACK)
        charged = set(
            MemberCharge.objects.filter(source_type=SOURCE, source_id__in=priced.values("pk")).values_list(
                "source_id", flat=True
            )
        )
        return sum(
            _charge(event, at) for event in priced.select_related("hub", "institution") if event.pk not in charged
        )


def _charge(event: EventWindow, at: datetime) -> bool:
    try:
        agreed = entitlements(event.institution_id, at=event.starts_at)
    except NoAgreement:
        return False
    title_fr = f"«\N{NO-BREAK SPACE}{event.title}\N{NO-BREAK SPACE}»"
    record_charge(
        institution=event.institution,
        issuer=Issuer.objects.get(pk=agreed.issuer_id),
        month=str(local_month(event.starts_at, agreed.zone)),
        charge=Charge(
            kind="event",
            description_en=f"Event “{event.title}” on {event.hub.slug}, beyond those included",
            description_fr=f"Événement {title_fr} sur {event.hub.slug}, au-delà de ceux inclus",
            quantity=Decimal(1),
            unit="event",
            unit_price=event.price,
            currency=event.currency,
            source_type=SOURCE,
            source_id=event.pk,
            evidence={"from": event.starts_at.isoformat(), "to": event.ends_at.isoformat(), "hub": event.hub.slug},
        ),
        by=BY,
        at=at,
    )
    return True
