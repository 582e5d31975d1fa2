"""What an institution's agreement entitles it to: the one thing other apps ask about an agreement."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from consortium.kernel.errors import PortalError
from members.agreements import agreement_in_force
from members.models import Agreement
from members.models.agreements import BINDING
from members.schedule import GIB, Schedule, ServiceLevel


class NoAgreement(PortalError):
    """No agreement is in force at that instant, so the institution is entitled to nothing."""

    code = "no_agreement"


class EntitlementExceeded(PortalError):
    """The agreement does not cover what is wanted; `field` says which wish is too much."""

    code = "entitlement_exceeded"


@dataclass(frozen=True, kw_only=True)
class Entitlements:
    """What is agreed: `zone` is the billing zone, `ends_on` the first day that is not covered (None: open).

    `ends_on` heeds whatever cut the term short: a newer version, or notice. Money is in `currency`.
    """

    institution_id: UUID
    agreement_id: UUID
    agreement_version: int
    zone: str
    starts_on: date
    ends_on: date | None
    hubs: int
    environments: tuple[str, ...]
    memory_limit_bytes: int
    max_servers: int
    regions: tuple[str, ...]
    currency: str
    creditable_monthly_fee: Decimal
    service_level: ServiceLevel
    issuer_id: UUID
    institution_slug: str
    status: str  # of the agreement, such as "in_force" or "terminating"
    home_limit_bytes: int | None
    tier: str
    payment_days: int
    po_required: bool
    schedule: Schedule  # every term that was agreed, prices too

    def creditable_fee(self, hub_slug: str) -> Decimal:
        """The monthly fee of one hub that service credits are a share of, in `currency`."""
        return self.schedule.fee_of(hub_slug)

    def price_terms(self) -> dict[str, Any]:
        """The prices as the JSON that billing.prices.PriceSchedule reads."""
        return self.schedule.price_terms()


class AgreementSuspended(NoAgreement):
    """The agreement is suspended: what runs is settled as agreed, nothing new begins."""

    code = "agreement_suspended"


def entitlements(institution_id: UUID, *, at: datetime) -> Entitlements:
    """Return what the agreement in force at that instant generates. Raises NoAgreement, AgreementSuspended."""
    agreement = agreement_in_force(institution_id, at=at)
    if agreement is None:
        raise NoAgreement(_("No service agreement is in force. An owner signs it, then the consortium countersigns."))
    if agreement.status == "suspended":
        raise AgreementSuspended(_("The service agreement is suspended. Its page says why, and what ends that."))
    return entitlements_of(agreement)


def entitlements_between(*, issuer_id: UUID, first_day: date, next_day: date) -> list[Entitlements]:
    """Return what covers any day from `first_day` up to, not including, `next_day`, by institution and first day.

    Suspended agreements and those under notice count; so does the past of those that ended or were superseded. Whoever
    bills a period asks this. Needs a consortium scope.
    """
    binding = Agreement.objects.filter(issuer_id=issuer_id, status__in=BINDING, starts_on__lt=next_day)
    rows = binding.select_related("institution").order_by("institution_id", "starts_on", "version")
    return [
        entitlements_of(row)
        for row in rows
        if row.covers_until is None or (row.covers_until > first_day and row.covers_until > row.starts_on)
    ]


def entitlements_of(agreement: Agreement) -> Entitlements:
    """Return what one agreement generates on the days that it covers, whether it is in force or not."""
    schedule = Schedule.parse(agreement.schedule)
    limits = schedule.entitlements
    return Entitlements(
        institution_id=agreement.institution_id,
        agreement_id=agreement.pk,
        agreement_version=agreement.version,
        zone=agreement.zone,
        starts_on=agreement.starts_on,
        ends_on=agreement.covers_until,
        hubs=limits.hubs,
        environments=limits.environments,
        memory_limit_bytes=limits.memory_limit_bytes,
        max_servers=limits.max_servers,
        regions=limits.regions,
        currency=schedule.currency,
        creditable_monthly_fee=schedule.creditable_monthly_fee,
        service_level=schedule.service_level,
        issuer_id=agreement.issuer_id,
        institution_slug=agreement.institution.slug,
        status=agreement.status,
        home_limit_bytes=limits.home_limit_bytes,
        tier=schedule.tier,
        payment_days=schedule.payment_days,
        po_required=schedule.po_required,
        schedule=schedule,
    )


def check_hub(
    entitled: Entitlements, *, environment: str, memory_bytes: int, max_servers: int, region: str, existing: int
) -> None:
    """Raise EntitlementExceeded, with the first reason, unless the agreement covers one more such hub.

    `existing` counts the hubs the institution has already; `memory_bytes` is the limit of one server.
    """
    wanted = {"environment": environment, "memory_bytes": memory_bytes, "max_servers": max_servers, "region": region}
    for field, message in hub_refusals(entitled, **wanted, existing=existing):  # type: ignore[arg-type] # as declared
        raise EntitlementExceeded(message, field=field)


def hub_refusals(
    entitled: Entitlements, *, environment: str, memory_bytes: int, max_servers: int, region: str, existing: int
) -> Iterator[tuple[str, str]]:
    """Return every reason why the agreement does not cover one more such hub: the wish at fault, and a sentence."""
    if existing >= entitled.hubs:
        text = _("Your agreement covers %(hubs)d hubs and you have %(existing)d. Ask the consortium to amend it.")
        yield "hubs", text % {"hubs": entitled.hubs, "existing": existing}
    if environment not in entitled.environments:
        text = _("Your agreement does not cover the environment %(wanted)s. It covers: %(covered)s.")
        yield "environment", text % {"wanted": environment, "covered": ", ".join(entitled.environments)}
    if memory_bytes > entitled.memory_limit_bytes:
        text = _("Your agreement allows %(limit)s GiB of memory for each server; you asked for %(wanted)s GiB.")
        yield "memory", text % {"limit": _gib(entitled.memory_limit_bytes), "wanted": _gib(memory_bytes)}
    if max_servers > entitled.max_servers:
        text = _("Your agreement allows %(limit)d servers at once; you asked for %(wanted)d.")
        yield "max_servers", text % {"limit": entitled.max_servers, "wanted": max_servers}
    if region not in entitled.regions:
        text = _("Your agreement does not cover the region %(wanted)s. It covers: %(covered)s.")
        yield "region", text % {"wanted": region, "covered": ", ".join(entitled.regions)}


def _gib(count: int) -> str:
    """Write bytes as GiB, to a tenth where they are not whole."""
    whole, rest = divmod(count, GIB)
    return str(whole) if not rest else f"{Decimal(count) / GIB:.1f}"
