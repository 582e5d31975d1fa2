"""Balances in foreign currencies, at the end of a period: what they are worth now against what they were carried at.

Every movement of a foreign balance is carried at the rate of its own day. What the balance is worth at the period's
last rate, less all of that, is gain or loss: realised where the balance is settled, unrealised where it is open. It is
posted on the last day and taken back on the next one, and found anew from the movements at the next period's end; so no
difference is ever posted upon another one, and what was realised stays in every later result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import connection, transaction
from django.utils.translation import gettext as _

from billing.chart_of_accounts import Account
from billing.fx import MAX_AGE, RateMissing, rate_on
from billing.ledger import Leg, post
from billing.models import FxRate, Revaluation
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.crash import crash_point
from consortium.kernel.money import EXACT, exact_sum, multiply, plain, round_money
from consortium.kernel.spoken import spoken_day
from members.models import Issuer, User
from members.permissions import Permission, check_staff

# What is owed or held in money. Income, cost, equity, what was paid ahead and what is owed in service keep their day's
# rate; so does what was exchanged.
MONETARY: Final = (
    Account.BANK, Account.CLEARING, Account.RECEIVABLES, Account.ACCRUED_INCOME, Account.INPUT_TAX,
    Account.GST_RECOVERABLE, Account.QST_RECOVERABLE, Account.PAYABLES, Account.ACCRUED_COST, Account.GST_PAYABLE,
    Account.HST_PAYABLE, Account.QST_PAYABLE, Account.PST_PAYABLE, Account.RST_PAYABLE, Account.MEMBER_CREDIT,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One account's foreign balance with what it was carried at, exactly, in the issuer's currency."""

    code: str
    foreign: str
    balance: Decimal
    carried: Decimal


@transaction.atomic
def revalue(issuer: Issuer, *, on: date, by: User | System, at: datetime) -> list[Revaluation]:
    """Revalue every foreign balance of the issuer at the end of the day `on`, once per currency.

    Needs a consortium scope. Done before for that day, the first result is returned. Raises Forbidden, RateMissing
    (naming the day whose rate is missing), YearLocked.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    Issuer.objects.select_for_update(no_key=True).get(pk=issuer.pk)
    held = list(Revaluation.objects.filter(issuer=issuer, on=on).order_by("foreign"))
    done = {row.foreign for row in held}
    parts = [part for part in foreign_balances(issuer, on=on) if part.foreign not in done]
    for foreign in sorted({part.foreign for part in parts}):
        own = [part for part in parts if part.foreign == foreign]
        held.append(_revalue(issuer, foreign, own, on=on, by=by, at=at))
    crash_point("revaluation.before_commit")
    return held


def foreign_balances(issuer: Issuer, *, on: date) -> list[Part]:
    """Return each monetary account's foreign balance at the end of `on`, carried at the rates of its movements' days.

    Accruals and their reversals count as any movement does. Raises RateMissing.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT a.code, l.currency, sum(l.amount), sum(l.amount * r.rate),
                   min(e."on") FILTER (WHERE r.rate IS NULL)
            FROM billing_ledgerleg l
            JOIN billing_ledgerentry e ON e.id = l.entry_id
            JOIN billing_ledgeraccount a ON a.id = l.account_id
            LEFT JOIN LATERAL (
                SELECT rate FROM billing_fxrate f
                WHERE f.base = l.currency AND f.quote = %(own)s AND f."on" <= e."on" AND f."on" > e."on" - %(age)s
                ORDER BY f."on" DESC LIMIT 1
            ) r ON true
            WHERE e.issuer_id = %(issuer)s AND e."on" <= %(on)s AND l.currency <> %(own)s AND a.code = ANY(%(codes)s)
            GROUP BY 1, 2 ORDER BY 2, 1
            """,
            {
                "issuer": issuer.pk,
                "own": issuer.currency,
                "on": on,
                "age": MAX_AGE.days,
                "codes": [str(code) for code in MONETARY],
            },
        )
        rows = cursor.fetchall()
    for _code, foreign, _balance, _carried, without in rows:
        if without is not None:
            raise RateMissing(
                _(
                    "No rate from %(base)s to %(quote)s is recorded for the month up to %(day)s. "
                    "Record one with its source."
                )
                % {"base": foreign, "quote": issuer.currency, "day": spoken_day(without)}
            )
    return [
        Part(code=str(code), foreign=str(foreign), balance=balance, carried=carried)
        for code, foreign, balance, carried, _without in rows
    ]


def _revalue(
    issuer: Issuer, foreign: str, parts: Sequence[Part], *, on: date, by: User | System, at: datetime
) -> Revaluation:
    rate = rate_on(foreign, issuer.currency, on=on)
    assert rate is not None  # noqa: S101 - the currency is foreign, so there is something to convert
    carried = exact_sum(part.carried for part in parts)
    value = multiply(exact_sum(part.balance for part in parts), rate.rate)
    row = Revaluation.objects.create(
        issuer=issuer,
        on=on,
        foreign=foreign,
        rate=rate,
        carried=carried,
        value=value,
        difference=round_money(EXACT.subtract(value, carried), issuer.currency),
        currency=issuer.currency,
        detail=[_detail(part, rate) for part in parts],
        created_at=at,
    )
    _post(row, at)
    after: dict[str, Fact] = {"on": on, "foreign": foreign, "rate": rate.rate, "difference": row.difference}
    audit.record("billing.revalued", row, by=by, at=at, institution_id=None, after=after)
    return row


def _detail(part: Part, rate: FxRate) -> dict[str, str]:
    return {
        "account": part.code,
        "balance": plain(part.balance),
        "carried": plain(part.carried),
        "value": plain(multiply(part.balance, rate.rate)),
    }


def _post(row: Revaluation, at: datetime) -> None:
    """Post the difference on the day, and take it back on the next one; nothing for a difference of nothing."""
    if not row.difference:
        return
    words = f"Revaluation of {row.foreign} on {row.on.isoformat()} at {plain(row.rate.rate)} ({row.rate.source})"
    for kind, on, amount, what in (
        ("revaluation", row.on, row.difference, words),
        ("revaluation_reversal", row.on + timedelta(days=1), -row.difference, f"Reversal: {words}"),
    ):
        legs = [Leg(Account.VALUATION, amount, row.currency), Leg(Account.FX_DIFFERENCE, -amount, row.currency)]
        post(issuer=row.issuer, kind=kind, source=row, on=on, narration=what, legs=legs, at=at)
