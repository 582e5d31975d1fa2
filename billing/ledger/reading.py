"""What the books say: balances, and whether they hold. Nothing is written here."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import connection

from billing.chart_of_accounts import Account
from billing.models import LedgerEntry
from members.models import Issuer


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One account's balance in one currency: `balance` is debits minus credits."""

    code: str
    name_en: str
    name_fr: str
    kind: str
    currency: str
    debit: Decimal
    credit: Decimal
    balance: Decimal


@dataclass(frozen=True, slots=True)
class ReceivablesCheck:
    """What the books say members owe in one currency, and what the open invoices say."""

    currency: str
    ledger: Decimal
    invoices: Decimal

    @property
    def agrees(self) -> bool:
        """Tell whether both are the same, to the cent."""
        return self.ledger == self.invoices


def trial_balance(issuer: Issuer, *, until: date | None = None) -> list[TrialRow]:
    """Return every account with a balance or movement, per currency, up to and including `until`."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT a.code, a.name_en, a.name_fr, a.kind, l.currency,
                   coalesce(sum(l.amount) FILTER (WHERE l.amount > 0), 0),
                   coalesce(-sum(l.amount) FILTER (WHERE l.amount < 0), 0), sum(l.amount)
            FROM billing_ledgerleg l
            JOIN billing_ledgerentry e ON e.id = l.entry_id
            JOIN billing_ledgeraccount a ON a.id = l.account_id
            WHERE e.issuer_id = %s AND e."on" <= coalesce(%s, 'infinity'::date)
            GROUP BY a.code, a.name_en, a.name_fr, a.kind, l.currency ORDER BY a.code, l.currency
            """,
            [issuer.pk, until],
        )
        return [TrialRow(*row) for row in cursor.fetchall()]


def is_balanced(issuer: Issuer | None = None) -> bool:
    """Tell whether every entry sums to zero in each currency and has all its legs. Needs a consortium scope."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT NOT EXISTS (
                SELECT 1 FROM billing_ledgerleg l JOIN billing_ledgerentry e ON e.id = l.entry_id
                WHERE coalesce(e.issuer_id = %(issuer)s, true)
                GROUP BY l.entry_id, l.currency HAVING sum(l.amount) <> 0
            ) AND NOT EXISTS (
                SELECT 1 FROM billing_ledgerentry e WHERE coalesce(e.issuer_id = %(issuer)s, true)
                AND e.leg_count <> (SELECT count(*) FROM billing_ledgerleg l WHERE l.entry_id = e.id)
            )
            """,
            {"issuer": None if issuer is None else issuer.pk},
        )
        return bool(cursor.fetchone()[0])


def entry_count(issuer: Issuer | None = None) -> int:
    """Return how many entries the books hold."""
    entries = LedgerEntry.objects.all()
    return (entries if issuer is None else entries.filter(issuer=issuer)).count()


def receivables(issuer: Issuer) -> list[ReceivablesCheck]:
    """Compare the receivables of the books with the open invoices, per currency. Needs a consortium scope."""
    books = {row.currency: row.balance for row in trial_balance(issuer) if row.code == Account.RECEIVABLES}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT b.currency, sum(b.total - b.paid - b.credited - b.written_off) FROM billing_invoicebalance b
            JOIN billing_invoice i ON i.id = b.invoice_id
            WHERE i.issuer_id = %s AND i.status IN ('issued', 'partly_paid', 'paid', 'written_off') GROUP BY b.currency
            """,
            [issuer.pk],
        )
        open_invoices: dict[str, Decimal] = dict(cursor.fetchall())
    return [
        ReceivablesCheck(currency, books.get(currency, Decimal(0)), open_invoices.get(currency, Decimal(0)))
        for currency in sorted(books.keys() | open_invoices.keys())
    ]


def receivables_agree(issuer: Issuer) -> bool:
    """Tell whether receivables equal the open invoices in every currency."""
    return all(check.agrees for check in receivables(issuer))


@dataclass(frozen=True, slots=True)
class Movement:
    """What moved on one account in one month and currency: `amount` is debits minus credits."""

    month: str
    code: str
    currency: str
    amount: Decimal


def movements(issuer: Issuer, *, since: date, until: date, kinds: tuple[str, ...]) -> list[Movement]:
    """Return what moved from `since` up to, not including, `until`, on accounts of these kinds, by month.

    The entry that closes a fiscal year is left out: it only carries the result forward.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT to_char(e."on", 'YYYY-MM'), a.code, l.currency, sum(l.amount)
            FROM billing_ledgerleg l
            JOIN billing_ledgerentry e ON e.id = l.entry_id
            JOIN billing_ledgeraccount a ON a.id = l.account_id
            WHERE e.issuer_id = %s AND e."on" >= %s AND e."on" < %s AND a.kind = ANY(%s) AND e.kind <> 'year_end'
            GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
            """,
            [issuer.pk, since, until, list(kinds)],
        )
        return [Movement(*row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class PaymentsCheck:
    """What the books say that payments brought in one currency, and what the payments say."""

    currency: str
    ledger: Decimal
    payments: Decimal

    @property
    def agrees(self) -> bool:
        """Tell whether both are the same, to the cent."""
        return self.ledger == self.payments


@dataclass(frozen=True, slots=True)
class HeldCredit:
    """What the books hold for one member beyond what it owes, in one currency; below zero would be a fault."""

    member: str
    currency: str
    amount: Decimal


def payments_checks(issuer: Issuer) -> list[PaymentsCheck]:
    """Compare what the books say that payers are credited with and the payments that succeeded.

    Needs a consortium scope.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT currency, sum(booked), sum(paid) FROM (
                SELECT l.currency, -l.amount AS booked, 0 AS paid FROM billing_ledgerleg l
                JOIN billing_ledgerentry e ON e.id = l.entry_id JOIN billing_ledgeraccount a ON a.id = l.account_id
                WHERE e.issuer_id = %(issuer)s AND e.kind = 'payment' AND a.code = ANY(%(counted)s)
                UNION ALL
                SELECT p.currency, 0, p.amount FROM billing_payment p JOIN billing_invoice i ON i.id = p.invoice_id
                WHERE i.issuer_id = %(issuer)s AND p.status = 'succeeded'
            ) flows GROUP BY currency ORDER BY currency
            """,
            {"issuer": issuer.pk, "counted": [str(Account.RECEIVABLES), str(Account.MEMBER_CREDIT)]},
        )
        return [PaymentsCheck(*row) for row in cursor.fetchall()]


def held_credit(issuer: Issuer) -> list[HeldCredit]:
    """Return the credit that the books hold for each member. Needs a consortium scope."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(i.name_en, 'nobody'), l.currency, -sum(l.amount) FROM billing_ledgerleg l
            JOIN billing_ledgerentry e ON e.id = l.entry_id JOIN billing_ledgeraccount a ON a.id = l.account_id
            LEFT JOIN members_institution i ON i.id = e.institution_id
            WHERE e.issuer_id = %s AND a.code = %s
            GROUP BY i.id, i.name_en, l.currency HAVING sum(l.amount) <> 0 ORDER BY 1, 2
            """,
            [issuer.pk, str(Account.MEMBER_CREDIT)],
        )
        return [HeldCredit(*row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class CreditCheck:
    """What the books hold for one member beyond what it owes, and what its credit and prepaid credit come to."""

    member: str
    currency: str
    ledger: Decimal
    held: Decimal

    @property
    def agrees(self) -> bool:
        """Tell whether both are the same, to the cent, and not below zero."""
        return self.ledger == self.held >= 0


def credit_checks(issuer: Issuer) -> list[CreditCheck]:
    """Compare the credit of the books with each member's rows: credits less uses, prepaid less used.

    Needs a consortium scope.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(i.name_en, 'nobody'), f.currency, sum(f.booked), sum(f.held) FROM (
                SELECT e.institution_id, l.currency, -l.amount AS booked, 0 AS held FROM billing_ledgerleg l
                JOIN billing_ledgerentry e ON e.id = l.entry_id JOIN billing_ledgeraccount a ON a.id = l.account_id
                WHERE e.issuer_id = %(issuer)s AND a.code = %(account)s
                UNION ALL
                SELECT c.institution_id, c.currency, 0, c.amount FROM billing_membercredit c
                WHERE c.issuer_id = %(issuer)s
                UNION ALL
                SELECT u.institution_id, u.currency, 0, -u.amount FROM billing_membercredituse u
                JOIN billing_membercredit c ON c.id = u.credit_id WHERE c.issuer_id = %(issuer)s
                UNION ALL
                SELECT p.institution_id, p.currency, 0, p.amount FROM billing_prepaid p
                JOIN billing_billingaccount b ON b.id = p.billing_account_id WHERE b.issuer_id = %(issuer)s
                UNION ALL
                SELECT u.institution_id, u.currency, 0, -u.amount FROM billing_prepaiduse u
                JOIN billing_billingaccount b ON b.id = u.billing_account_id WHERE b.issuer_id = %(issuer)s
            ) f LEFT JOIN members_institution i ON i.id = f.institution_id
            GROUP BY i.id, i.name_en, f.currency ORDER BY 1, 2
            """,
            {"issuer": issuer.pk, "account": str(Account.MEMBER_CREDIT)},
        )
        return [CreditCheck(*row) for row in cursor.fetchall()]
