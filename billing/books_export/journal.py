"""One issuer's entries in their order, read as plain values. Needs a consortium scope."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection

from billing.models import LedgerAccount
from consortium.kernel.money import EXACT
from members.models import Issuer


@dataclass(frozen=True, slots=True)
class JournalLeg:
    """One side: debit above zero, credit below."""

    code: str
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One posting. `member` is the institution's slug, or empty; `source` names the object it was posted for."""

    key: UUID
    on: date
    posted_at: datetime
    kind: str
    source: str
    member: str
    narration: str
    legs: tuple[JournalLeg, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalAccount:
    """One account of the chart."""

    code: str
    kind: str
    name_en: str
    name_fr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """An issuer's accounts and entries, the earliest first."""

    issuer: str
    name: str
    currency: str
    accounts: tuple[JournalAccount, ...]
    entries: tuple[JournalEntry, ...]

    def balances(self) -> dict[tuple[str, str], Decimal]:
        """Will sum every account in every currency it moved in, zeros included."""
        sums: dict[tuple[str, str], Decimal] = {}
        for entry in self.entries:
            for leg in entry.legs:
                key = (leg.code, leg.currency)
                sums[key] = EXACT.add(sums.get(key, Decimal(0)), leg.amount)
        return sums


def read_journal(issuer: Issuer, *, since: date | None = None, until: date | None = None) -> Journal:
    """Return the issuer's entries from `since` up to and including `until`, in two queries."""
    accounts = LedgerAccount.objects.filter(issuer=issuer).order_by("code")
    return Journal(
        issuer=issuer.slug,
        name=issuer.name_en,
        currency=issuer.currency,
        accounts=tuple(
            JournalAccount(code=row.code, kind=row.kind, name_en=row.name_en, name_fr=row.name_fr) for row in accounts
        ),
        entries=tuple(_entries(issuer, since, until)),
    )


def _entries(issuer: Issuer, since: date | None, until: date | None) -> list[JournalEntry]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT e.id, e."on", e.posted_at, e.kind, e.source_type || ' ' || e.source_id, coalesce(i.slug, ''),
                   e.narration, a.code, l.amount, l.currency
            FROM billing_ledgerentry e
            JOIN billing_ledgerleg l ON l.entry_id = e.id
            JOIN billing_ledgeraccount a ON a.id = l.account_id
            LEFT JOIN members_institution i ON i.id = e.institution_id
            WHERE e.issuer_id = %s
            AND e."on" >= coalesce(%s, '-infinity'::date) AND e."on" <= coalesce(%s, 'infinity'::date)
            ORDER BY e."on", e.posted_at, e.id, l.amount < 0, a.code, l.currency
            """,
            [issuer.pk, since, until],
        )
        rows = cursor.fetchall()
    entries: list[JournalEntry] = []
    legs: dict[UUID, list[JournalLeg]] = {}
    for key, *_words, code, amount, currency in rows:
        legs.setdefault(key, []).append(JournalLeg(str(code), amount, str(currency)))
    done: set[UUID] = set()
    for key, on, posted_at, kind, source, member, narration, *_leg in rows:
        if key not in done:
            done.add(key)
            entries.append(
                JournalEntry(
                    key=key,
                    on=on,
                    posted_at=posted_at,
                    kind=str(kind),
                    source=str(source),
                    member=str(member),
                    narration=str(narration),
                    legs=tuple(legs[key]),
                )
            )
    return entries
