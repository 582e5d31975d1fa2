"""The typed schedule of a service agreement: dues, prices, entitlements, service level, terms. Pure.

An agreement stores it as JSON in which every amount and share is a string, so that a version can be hashed, signed and
compared for ever. `Schedule` is what one institution agreed; `ScheduleTemplate` is what the consortium offers to all:
the same terms, with a tier of yearly dues for each size of institution.
"""

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from consortium.kernel.money import exponent, plain, scale
from members.schedule_terms import (
    GIB,
    Allocation,
    Amount,
    Count,
    DataProtection,
    EventHubs,
    Exit,
    FrozenTerms,
    HubFee,
    Lapse,
    OrderRule,
    Positive,
    Recovery,
    Renewal,
    Responsibility,
    ScheduleInvalid,
    Severity,
    Share,
    Subprocessor,
    TaxFacts,
    Words,
)


def _read_currency(value: object) -> str:
    exponent(value)  # type: ignore[arg-type]  # raises CurrencyUnknown for whatever is no code
    return str(value)


Currency = Annotated[str, BeforeValidator(_read_currency)]


class Slab(FrozenTerms):
    """The price of each monthly active user up to, and including, the `up_to`-th; the last slab has no end."""

    up_to: Positive | None
    unit_price: Amount


class Credit(FrozenTerms):
    """Below this monthly availability, that share of the creditable monthly fee is credited."""

    below: Share
    credit: Share


class ServiceLevel(FrozenTerms):
    """What is promised of each hub in a month; shares of one ("0.995" is 99.5 %), hours are business hours."""

    availability: Share
    credits: tuple[Credit, ...] = ()
    urgent_response_hours: Positive = 4
    response_hours: Positive = 16
    severities: tuple[Severity, ...] = ()
    maintenance_notice_hours: Positive = 72


class HubLimits(FrozenTerms):
    """What an institution is entitled to: how many hubs, of which environments, how large, where."""

    hubs: Count
    environments: tuple[Words, ...]
    memory_limit_bytes: Positive
    max_servers: Positive
    regions: tuple[Words, ...]
    home_limit_bytes: Positive | None = None  # of one person; None: as the cluster allows


class Tier(FrozenTerms):
    """A class of member by size: up to, and including, so many students (FTE), and its yearly dues."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,19}$")]
    name_en: Words
    name_fr: Words
    fte_up_to: Positive | None
    dues: Amount


class _Terms(FrozenTerms):
    """What a template and an agreement have in common. Days are calendar days."""

    version: Positive = 1
    currency: Currency
    slabs: tuple[Slab, ...]
    dues_every: Literal["month", "quarter", "year"] = "month"  # how often dues are invoiced; longer ones in advance
    included_support_hours: Amount
    support_hourly_rate: Amount
    creditable_monthly_fee: Amount  # per hub: what a service credit is a share of; never pass-through cost
    entitlements: HubLimits
    service_level: ServiceLevel
    term_months: Positive | None = None  # None: until either side ends it
    payment_days: Positive = 30
    po_required: bool = False
    notice_days: Positive = 90
    price_notice_days: Positive = 90  # how long before new prices hold the consortium tells the member
    max_price_increase: Share | None = None  # of each price, by one notice; None: no bound was agreed
    renewal: Renewal = Renewal()
    event_hubs: EventHubs | None = None
    creditable_fees: tuple[HubFee, ...] = ()  # by hub, where `creditable_monthly_fee` does not hold
    order_rule: OrderRule = OrderRule()
    hub_approval: Literal["consortium", "none"] = "consortium"  # who approves a hub within the entitlements
    tax: TaxFacts | None = None
    recovery: Recovery | None = None
    responsibilities: tuple[Responsibility, ...] = ()
    data_protection: DataProtection | None = None
    subprocessors: tuple[Subprocessor, ...] = ()
    allocation: Allocation | None = None
    exit: Exit | None = None
    lapse: Lapse | None = None

    @model_validator(mode="after")
    def _terms_hold_together(self) -> Self:
        ends = [slab.up_to for slab in self.slabs]
        bounded = [end for end in ends[:-1] if end is not None]
        if not ends or ends[-1] is not None or len(bounded) != len(ends) - 1:
            raise ScheduleInvalid("The last slab of users, and only it, must have no end.", field="slabs")
        if any(one >= two for one, two in pairwise(bounded)):
            raise ScheduleInvalid("Every slab of users must end above the one before it.", field="slabs")
        limits = [self.service_level.availability, *(credit.below for credit in self.service_level.credits)]
        if any(one < two for one, two in pairwise(limits)):
            raise ScheduleInvalid(
                "Service credits must begin below the promised availability, and fall.", field="credits"
            )
        if len({fee.hub for fee in self.creditable_fees}) != len(self.creditable_fees):
            raise ScheduleInvalid("A hub has two creditable fees.", field="creditable_fees")
        _refuse_fractions_of_a_cent(self._unit_prices(), self.currency)
        return self

    def _unit_prices(self) -> list[Decimal]:
        events = [self.event_hubs.price_each] if self.event_hubs else []
        fees = [self.creditable_monthly_fee, *(each.fee for each in self.creditable_fees)]
        return [self.support_hourly_rate, *fees, *events, *(slab.unit_price for slab in self.slabs)]

    def fee_of(self, hub: str) -> Decimal:
        """Will return the creditable monthly fee of the hub of that slug, in `currency`."""
        return next((each.fee for each in self.creditable_fees if each.hub == hub), self.creditable_monthly_fee)

    def as_json(self) -> dict[str, Any]:
        """Will return what the database stores: plain JSON, amounts as strings."""
        return self.model_dump(mode="json")

    @classmethod
    def parse(cls, value: object) -> Self:
        """Will read stored JSON. Raises ScheduleInvalid, which names the first term at fault."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            cause = (first.get("ctx") or {}).get("error")
            where = ".".join(str(part) for part in first["loc"])
            inner = cause.field if isinstance(cause, ScheduleInvalid) else None
            message = f"The schedule's {where or 'terms'}: {cause or first['msg']}".rstrip(".")
            raise ScheduleInvalid(f"{message}.", field=where or inner) from error


class Schedule(_Terms):
    """What one institution agreed: `dues` are for a year, in `currency`; `slabs` price a month's active users."""

    tier: Words
    tier_name_en: Words
    tier_name_fr: Words
    dues: Amount

    @model_validator(mode="after")
    def _dues_are_payable(self) -> Self:
        _refuse_fractions_of_a_cent([self.dues], self.currency)
        return self

    def price_terms(self) -> dict[str, Any]:
        """Will return the prices as the JSON that billing.prices.PriceSchedule reads."""
        terms = self.as_json()
        return {
            "version": self.version,
            "currency": self.currency,
            "tier": {
                "code": self.tier,
                "name_en": self.tier_name_en,
                "name_fr": self.tier_name_fr,
                "yearly_dues": terms["dues"],
            },
            "slabs": terms["slabs"],
            "support": {
                "included_hours": terms["included_support_hours"],
                "hourly_rate": terms["support_hourly_rate"],
            },
            "creditable_fee": terms["creditable_monthly_fee"],
        }


class ScheduleTemplate(_Terms):
    """What the consortium offers: a `Schedule` for each size of institution."""

    tiers: tuple[Tier, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _every_size_has_a_tier(self) -> Self:
        bounds = [tier.fte_up_to for tier in self.tiers]
        rising = [bound for bound in bounds if bound is not None]
        if bounds[-1] is not None or len(rising) != len(bounds) - 1 or any(a >= b for a, b in pairwise(rising)):
            raise ScheduleInvalid("Tiers must rise by students, and the last one must have no end.", field="tiers")
        if len({tier.code for tier in self.tiers}) != len(self.tiers):
            raise ScheduleInvalid("Two tiers have the same code.", field="tiers")
        _refuse_fractions_of_a_cent([tier.dues for tier in self.tiers], self.currency)
        return self

    def tier_for(self, fte: int) -> Tier:
        """Will return the tier of an institution with so many students (FTE)."""
        return next(tier for tier in self.tiers if tier.fte_up_to is None or fte <= tier.fte_up_to)

    def for_institution(self, *, fte: int, po_required: bool) -> Schedule:
        """Will return the schedule that is offered to an institution of that size."""
        tier = self.tier_for(fte)
        shared = {name: getattr(self, name) for name in _Terms.model_fields}
        return Schedule(
            **shared | {"po_required": po_required},
            tier=tier.code,
            tier_name_en=tier.name_en,
            tier_name_fr=tier.name_fr,
            dues=tier.dues,
        )


def _refuse_fractions_of_a_cent(prices: list[Decimal], currency: str) -> None:
    for price in prices:
        if scale(price) > exponent(currency):
            raise ScheduleInvalid(f"{plain(price)} is finer than the smallest unit of {currency}.", field="currency")


__all__ = [
    "GIB",
    "Amount",
    "Credit",
    "HubLimits",
    "Schedule",
    "ScheduleInvalid",
    "ScheduleTemplate",
    "ServiceLevel",
    "Slab",
    "Tier",
]
