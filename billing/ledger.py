"""The books: double entry, append-only, balanced per currency. The only module that writes ledger rows.

Debits are above zero, credits below. Each object is posted once per kind of entry, however often it is asked for;
PostgreSQL refuses an entry whose legs do not sum to zero in every currency, and every change afterwards.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection, models, transaction

from billing.chart_of_accounts import INCOME_OF_LINE, PAYABLE_OF_TAX, Account, accounts_of
from billing.models import BillImport, Invoice, InvoiceLine, InvoiceLineTax, LedgerEntry, LedgerLeg, Payment
from consortium.kernel.errors import PortalError
from consortium.kernel.money import EXACT, exact_sum, plain, round_money
from consortium.kernel.periods import local_date
from members.models import Issuer


class EntryUnbalanced(PortalError):
    """The legs of an entry do not sum to zero in each currency; nothing was posted."""

    code = "entry_unbalanced"
    status = 500


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of an entry: debit above zero, credit below."""

    account: Account
    amount: Decimal
    currency: str


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


@transaction.atomic
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
    left out. Raises EntryUnbalanced, also for an entry of which fewer than two legs are left.
    """
    label = source._meta.label  # noqa: SLF001 - the model's public name
    if existing := LedgerEntry.objects.filter(kind=kind, source_type=label, source_id=source.pk).first():
        return existing
    merged = _merged(legs)
    _check_balance(narration, merged)
    accounts = accounts_of(issuer)
    entry = LedgerEntry.objects.create(
        issuer=issuer,
        institution_id=institution_id,
        kind=kind,
        source_type=label,
        source_id=source.pk,
        on=on,
        posted_at=at,
        narration=narration[:300],
        leg_count=len(merged),
    )
    LedgerLeg.objects.bulk_create(
        LedgerLeg(
            entry=entry,
            institution_id=institution_id,
            account=accounts[leg.account],
            amount=leg.amount,
            currency=leg.currency,
        )
        for leg in merged
    )
    return entry


def post_invoice(invoice: Invoice, *, at: datetime) -> LedgerEntry:
    """Post an issued invoice: receivables against income by kind of line and each tax payable."""
    income = InvoiceLine.objects.filter(invoice=invoice).values_list("kind", "net")
    taxes = InvoiceLineTax.objects.filter(invoice=invoice).values_list("tax", "amount")
    currency = invoice.currency
    return post(
        issuer=invoice.issuer,
        kind="invoice",
        source=invoice,
        on=local_date(at, invoice.issuer.zone),
        narration=f"Invoice {invoice.number}",
        legs=[
            Leg(Account.RECEIVABLES, invoice.total, currency),
            *(Leg(INCOME_OF_LINE[kind], -net, currency) for kind, net in income),
            *(Leg(PAYABLE_OF_TAX[tax], -amount, currency) for tax, amount in taxes),
        ],
        at=at,
        institution_id=invoice.institution_id,
    )


def post_payment(*, payment: Payment, at: datetime) -> LedgerEntry:
    """Post a payment that succeeded: the bank, or the provider's clearing account, against receivables."""
    invoice = payment.invoice
    arrives = Account.BANK if payment.provider == "manual" else Account.CLEARING
    return post(
        issuer=invoice.issuer,
        kind="payment",
        source=payment,
        on=local_date(at, invoice.issuer.zone),
        narration=f"Payment of invoice {invoice.number}",
        legs=[
            Leg(arrives, payment.amount, payment.currency),
            Leg(Account.RECEIVABLES, -payment.amount, payment.currency),
        ],
        at=at,
        institution_id=payment.institution_id,
    )


def post_supplier_bill(
    bill: BillImport, *, issuer: Issuer, input_tax: Decimal, on: date, at: datetime
) -> LedgerEntry | None:
    """Post a cloud bill as it is owed: its exact total rounded once; None when there is nothing to owe.

    `input_tax` is the exact part of it that the tax office gives back. Cost is what remains, so that the entry
    balances whatever the roundings.
    """
    owed = round_money(bill.billed_total, bill.currency)
    tax = round_money(input_tax, bill.currency)
    if owed == 0 and tax == 0:
        return None
    return post(
        issuer=issuer,
        kind="supplier_bill",
        source=bill,
        on=on,
        narration=f"Cloud bill {bill.cloud_account} {bill.month} v{bill.version}",
        legs=[
            Leg(Account.CLOUD_COST, EXACT.subtract(owed, tax), bill.currency),
            Leg(Account.INPUT_TAX, tax, bill.currency),
            Leg(Account.PAYABLES, -owed, bill.currency),
        ],
        at=at,
    )


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
            SELECT b.currency, sum(b.total - b.paid - b.credited) FROM billing_invoicebalance b
            JOIN billing_invoice i ON i.id = b.invoice_id
            WHERE i.issuer_id = %s AND i.status IN ('issued', 'partly_paid', 'paid') GROUP BY b.currency
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


def _merged(legs: Iterable[Leg]) -> list[Leg]:
    """Add up the legs of the same account and currency, and leave out what came to nothing."""
    sums: dict[tuple[Account, str], Decimal] = {}
    for leg in legs:
        key = (leg.account, leg.currency)
        sums[key] = EXACT.add(sums.get(key, Decimal(0)), leg.amount)
    return [Leg(account, amount, currency) for (account, currency), amount in sums.items() if amount]


def _check_balance(narration: str, legs: Sequence[Leg]) -> None:
    """Say in words what the database would refuse at commit."""
    for currency in {leg.currency for leg in legs}:
        rest = exact_sum(leg.amount for leg in legs if leg.currency == currency)
        if rest:
            raise EntryUnbalanced(f"{narration}: debits and credits differ by {plain(rest)} {currency}.")
    if len(legs) < 2:
        raise EntryUnbalanced(f"{narration}: nothing moves, so there is nothing to post.")
