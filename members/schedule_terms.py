"""The parts of a schedule that say who does what, where data lives, and how the two sides part. Pure.

Each is optional in `members.schedule`: an agreement that was signed before a part existed still reads as it was signed.
"""

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from consortium.kernel.errors import Invalid
from consortium.kernel.money import parse_amount, plain

GIB: Final = 1024**3


class ScheduleInvalid(Invalid, ValueError):
    """A schedule lacks a term, has one nobody knows, or contradicts itself."""

    code = "schedule_invalid"


def _read_amount(value: object) -> Decimal:
    return parse_amount(plain(value) if isinstance(value, Decimal) else value)


Amount = Annotated[
    Decimal,
    BeforeValidator(_read_amount, json_schema_input_type=str),
    PlainSerializer(plain, return_type=str),
    Field(ge=0),
]
Share = Annotated[Amount, Field(le=1)]
Count = Annotated[int, Field(ge=0, strict=True)]
Positive = Annotated[int, Field(gt=0, strict=True)]
Words = Annotated[str, Field(min_length=1, max_length=100)]
Sentence = Annotated[str, Field(min_length=1, max_length=300)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,59}$")]
Role = Literal["leads", "helps", "informed", "none"]


class FrozenTerms(BaseModel):
    """What is written in an agreement neither changes nor carries words nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Renewal(FrozenTerms):
    """How the agreement goes on: offered so many days before its end for `months` more (None: as long as before)."""

    mode: Literal["offered", "none"] = "offered"
    months: Positive | None = None
    offer_days: Positive = 60
    reminder_days: tuple[Positive, ...] = (30, 14, 2)

    @model_validator(mode="after")
    def _reminders_come_after_the_offer(self) -> Self:
        days = (self.offer_days, *self.reminder_days)
        if any(one <= two for one, two in pairwise(days)):
            raise ScheduleInvalid("Reminders must follow the offer, each nearer to the end.", field="reminder_days")
        return self


class Severity(FrozenTerms):
    """A severity of support requests: first answer within so many hours, news at least every so many."""

    code: Slug
    name_en: Words
    name_fr: Words
    response_hours: Positive
    update_hours: Positive
    around_the_clock: bool = False


class Responsibility(FrozenTerms):
    """A row of the responsibilities matrix: what each side does about a task."""

    task_en: Sentence
    task_fr: Sentence
    consortium: Role
    member: Role


class Subprocessor(FrozenTerms):
    """Somebody else who processes data, for what, and where."""

    name: Words
    purpose_en: Sentence
    purpose_fr: Sentence
    region: Words


class DataProtection(FrozenTerms):
    """Where hubs, backups and logs are kept, how long logs stay, and how soon a breach is told."""

    hub_regions: tuple[Words, ...] = Field(min_length=1)
    backup_regions: tuple[Words, ...] = Field(min_length=1)
    log_regions: tuple[Words, ...] = Field(min_length=1)
    log_days: Positive = 395
    breach_notice_hours: Positive = 72
    law_en: Sentence | None = None  # the public-sector privacy law of the member's province
    law_fr: Sentence | None = None


class Recovery(FrozenTerms):
    """Home directories after a loss: at most so many hours of work lost (RPO), back after so many hours (RTO)."""

    home_rpo_hours: Positive
    home_rto_hours: Positive


class EventHubs(FrozenTerms):
    """Hubs booked for an exam or a workshop: how many a year are included, and what each further one costs."""

    included_per_year: Count
    price_each: Amount
    longest_days: Positive = 14


class HubFee(FrozenTerms):
    """The creditable monthly fee of one hub, where it differs from the others'."""

    hub: Slug
    fee: Amount


class OrderRule(FrozenTerms):
    """When the member is asked to renew a purchase order: this much of it used, or so many days before its end."""

    warn_share: Share = Decimal("0.8")
    warn_days: Positive = 60


class TaxFacts(FrozenTerms):
    """What the two sides stated about tax; the decision stands on each invoice."""

    dues: Literal["taxable", "exempt"] = "taxable"
    usage: Literal["taxable", "exempt"] = "taxable"
    note_en: Sentence | None = None
    note_fr: Sentence | None = None


class Allocation(FrozenTerms):
    """How shared cost is split, in words, and how long before a change the members are told."""

    policy_en: Sentence
    policy_fr: Sentence
    notice_days: Positive = 60


class Exit(FrozenTerms):
    """How the two sides part: days to take the data away, then days until it is deleted."""

    export_days: Positive = 30
    deletion_days: Positive = 60
    shutdown_notice_days: Positive = 14
    formats: tuple[Words, ...] = ()


class Lapse(FrozenTerms):
    """What follows when invoices stay unpaid: so many days overdue to a notice, then so many to each further step.

    Read-only: what runs goes on, nothing new begins. Each step needs a person and is lifted when it is paid.
    """

    notice_days: Positive = 60
    read_only_days: Positive = 14
    suspended_days: Positive = 14
    retired_days: Positive = 60

    def days_before(self, rung: str) -> int:
        """Will return the days that must be over since the rung before ("notice": since the due day)."""
        days: int = getattr(self, f"{rung}_days")
        return days
