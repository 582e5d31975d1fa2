"""Whether the books agree with the payment provider: what it holds for us, and what is on its way from there."""

from decimal import Decimal

from django.db import connection

from billing.chart_of_accounts import Account
from billing.ledger import trial_balance
from billing.payouts import unreconciled_payouts
from consortium.kernel.money import exact_sum, plain
from members.models import Issuer


def clearing_faults(issuer: Issuer) -> list[str]:
    """Return what does not agree, as sentences. Needs a consortium scope.

    At the provider is every movement of our balance there, and payments of which it has not told the movement yet.
    """
    rows = trial_balance(issuer)
    held = {row.currency: row.balance for row in rows if row.code == Account.CLEARING}
    moving = {row.currency: row.balance for row in rows if row.code == Account.IN_TRANSIT}
    told = _told(issuer)
    faults = []
    for currency in sorted(held.keys() | told.keys()):
        books, provider = held.get(currency, Decimal(0)), told.get(currency, Decimal(0))
        if books != provider:
            faults.append(
                f"The books of {issuer} hold {plain(books)} {currency} at the payment provider, its movements come to "
                f"{plain(provider)}."
            )
    for currency, books in moving.items():
        on_way = exact_sum(payout.amount for payout in unreconciled_payouts(currency, issuer=issuer))
        if books != on_way:
            faults.append(
                f"The books of {issuer} have {plain(books)} {currency} on its way to the bank, its payouts come to "
                f"{plain(on_way)}."
            )
    return faults


def _told(issuer: Issuer) -> dict[str, Decimal]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT currency, sum(amount) FROM (
                SELECT currency, net AS amount FROM billing_clearingmovement WHERE issuer_id = %(issuer)s
                UNION ALL
                SELECT p.currency, p.amount FROM billing_payment p JOIN billing_invoice i ON i.id = p.invoice_id
                WHERE i.issuer_id = %(issuer)s AND p.provider = 'stripe' AND p.status = 'succeeded' AND NOT EXISTS (
                    SELECT 1 FROM billing_clearingmovement m WHERE m.payment_id = p.id AND m.kind = 'charge')
            ) told GROUP BY currency
            """,
            {"issuer": issuer.pk},
        )
        return dict(cursor.fetchall())
