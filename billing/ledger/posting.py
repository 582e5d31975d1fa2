"""Writing entries: once per object and kind, balanced, in an open fiscal year. Nothing else writes ledger rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import product
from uuid import UUID

from django.db import models, transaction
from django.utils.translation import gettext as _

from billing.chart_of_accounts import Account, accounts_of
from billing.models import FiscalYear, LedgerEntry, LedgerLeg
from consortium.kernel.errors import PortalError
from consortium.kernel.money import EXACT, exact_sum, plain
from consortium.kernel.spoken import spoken_day
from members.models import Issuer


class EntryUnbalanced(PortalError):
    """The legs of an entry do not sum to zero in each currency; nothing was posted."""

    code = "entry_unbalanced"
    status = 500


class EntryConflict(PortalError):
    """The object was posted before with other figures; what was posted stands, and nothing was added."""

    code = "entry_conflict"


class YearLocked(PortalError):
    """The day lies in a fiscal year that is locked."""

    code = "year_locked"


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of an entry: debit above zero, credit below."""

    account: Account
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry before it is written. `on` is the accounting day in the issuer's zone."""

    kind: str
    source: models.Model
    on: date
    narration: str
    legs: Sequence[Leg]
    institution_id: UUID | None = None

    @property
    def key(self) -> tuple[str, str, UUID]:
        """What is posted once."""
        return (self.kind, self.source._meta.label, self.source.pk)  # noqa: SLF001 - the model's public name


def post(
    *,
    issuer: Issuer,
    kind: str,
    source: models.Model,
    on: date,
    narration: str,
    legs: Sequence[Leg],
    at: datetime,
    institution_id: UUID | None = None,
) -> LedgerEntry:
    """Write one entry for (kind, source), or return the one that was written before.

    `on` is the accounting day in the issuer's zone. Legs of the same account and currency are added up, those of zero
    left out. Raises EntryUnbalanced, also for an entry of which fewer than two legs are left; EntryConflict when the
    source was posted with other figures; YearLocked.
    """
    entry = Entry(kind=kind, source=source, on=on, narration=narration, legs=legs, institution_id=institution_id)
    return post_all([entry], issuer=issuer, at=at)[0]


@transaction.atomic
def post_all(entries: Sequence[Entry], *, issuer: Issuer, at: datetime) -> list[LedgerEntry]:
    """Write entries of one issuer, all or none, as `post` writes one; the queries do not grow with them."""
    held = _held(entries)
    wanted = [(entry, _merged(entry.legs)) for entry in entries]
    for entry, legs in wanted:
        if entry.key in held:
            _check_same(held[entry.key], issuer, legs, entry.narration)
        else:
            _check_balance(entry.narration, legs)
    fresh = [(entry, legs) for entry, legs in wanted if entry.key not in held]
    _check_years(issuer, {entry.on for entry, _legs in fresh})
    accounts = accounts_of(issuer) if fresh else {}
    rows = LedgerEntry.objects.bulk_create(
        LedgerEntry(
            issuer=issuer,
            institution_id=entry.institution_id,
            kind=entry.kind,
            source_type=entry.key[1],
            source_id=entry.source.pk,
            on=entry.on,
            posted_at=at,
            narration=entry.narration[:300],
            leg_count=len(legs),
        )
        for entry, legs in fresh
    )
    LedgerLeg.objects.bulk_create(
        LedgerLeg(
            entry=row,
            institution_id=row.institution_id,
            account=accounts[leg.account],
            amount=leg.amount,
            currency=leg.currency,
        )
        for row, (_entry, legs) in zip(rows, fresh, strict=True)
        for leg in legs
    )
    made = {entry.key: row for row, (entry, _legs) in zip(rows, fresh, strict=True)}
    return [held.get(entry.key) or made[entry.key] for entry in entries]


def _held(entries: Sequence[Entry]) -> dict[tuple[str, str, UUID], LedgerEntry]:
    """What was posted before of these."""
    rows = LedgerEntry.objects.filter(
        kind__in={entry.kind for entry in entries}, source_id__in=[entry.source.pk for entry in entries]
    )
    return {(row.kind, row.source_type, row.source_id): row for row in rows}


def _merged(legs: Iterable[Leg]) -> list[Leg]:
    """Add up the legs of the same account and currency, and leave out what came to nothing."""
    sums: dict[tuple[Account, str], Decimal] = {}
    for leg in legs:
        key = (leg.account, leg.currency)
        sums[key] = EXACT.add(sums.get(key, Decimal(0)), leg.amount)
    return [Leg(account, amount, currency) for (account, currency), amount in sums.items() if amount]


def _check_same(existing: LedgerEntry, issuer: Issuer, legs: Sequence[Leg], narration: str) -> None:
    """Refuse to pass off an older entry as this one when its figures are others."""
    held = set(LedgerLeg.objects.filter(entry=existing).values_list("account__code", "amount", "currency"))
    wanted = {(str(leg.account), leg.amount, leg.currency) for leg in legs}
    if existing.issuer_id != issuer.pk or held != wanted:
        raise EntryConflict(
            _("%(what)s is in the books already, with other figures. Correct it by an entry of its own.")
            % {"what": narration}
        )


def _check_balance(narration: str, legs: Sequence[Leg]) -> None:
    """Say in words what the database would refuse at commit."""
    for currency in {leg.currency for leg in legs}:
        rest = exact_sum(leg.amount for leg in legs if leg.currency == currency)
        if rest:
            raise EntryUnbalanced(f"{narration}: debits and credits differ by {plain(rest)} {currency}.")
    if len(legs) < 2:
        raise EntryUnbalanced(f"{narration}: nothing moves, so there is nothing to post.")


def _check_years(issuer: Issuer, days: set[date]) -> None:
    """Say in words what the database would refuse at once."""
    locked = FiscalYear.objects.filter(issuer=issuer, status="locked").values_list("valid", flat=True)
    for valid, day in product(locked, sorted(days)):
        if day in valid:
            raise YearLocked(
                _("The fiscal year of %(day)s is locked. Post in the open year, on a later day.")
                % {"day": spoken_day(day)}
            )
