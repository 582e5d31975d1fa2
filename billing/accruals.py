"""Accruals: a cost owed, or an income earned, that no document shows yet at the end of a period.

Each is posted on the period's last day and taken back on the next one, so that the document, when it comes, is booked
in full and nothing is counted twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from billing.chart_of_accounts import CHART, Account
from billing.commands import Value, body_digest, first_result
from billing.ledger import Leg, post
from billing.models import Accrual, BillImport, CloudAccount
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid
from consortium.kernel.money import exponent, plain, round_money
from consortium.kernel.periods import Month
from members.models import Issuer, User
from members.permissions import Permission, check_staff

KINDS: Final[Mapping[str, str]] = MappingProxyType({"cost": "expense", "income": "income"})


class AccrualInvalid(Invalid):
    """The amount, the account or the day cannot be accrued."""

    code = "accrual_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A cloud bill that was expected for a month and has not come: what the month before cost."""

    account: CloudAccount
    month: Month
    amount: Decimal
    currency: str
    grounds: str


@transaction.atomic
def accrue(
    issuer: Issuer,
    *,
    kind: str,
    account: Account,
    amount: Decimal,
    currency: str,
    on: date,
    grounds: str,
    key: str,
    by: User | System,
    at: datetime,
) -> Accrual:
    """Accrue a cost or an income on `on`, a month's last day, and take it back on the next day.

    The same key and figures return the first accrual. Raises Forbidden, AccrualInvalid, KeyReused, YearLocked.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    body: dict[str, Value] = {
        "issuer": issuer.pk, "kind": kind, "account": str(account), "amount": amount, "currency": currency, "on": on,
        "grounds": grounds,
    }  # fmt: skip
    if held := first_result(Accrual, key=key, body=body):
        return held
    _check(kind, account, on, grounds)
    _check_amount(amount, currency)
    row = Accrual.objects.create(
        issuer=issuer,
        kind=kind,
        on=on,
        account_code=account,
        amount=amount,
        currency=currency,
        grounds=grounds,
        created_at=at,
        command_key=key,
        command_digest=body_digest(body),
    )
    _post(row, at)
    facts: dict[str, Fact] = {"kind": kind, "on": on, "amount": amount, "currency": currency, "account": str(account)}
    audit.record("billing.accrued", row, by=by, at=at, institution_id=None, after=facts)
    crash_point("accrual.before_commit")
    return row


def missing_bills(issuer: Issuer, month: Month) -> list[Suggestion]:
    """Return the cloud accounts that had a bill for the month before and have none for this one, with that amount."""
    before = str(month.previous())
    found = []
    for account in CloudAccount.objects.filter(issuer=issuer).order_by("slug"):
        last = BillImport.objects.filter(cloud_account=account, month=before).order_by("-version").first()
        if last is None or BillImport.objects.filter(cloud_account=account, month=str(month)).exists():
            continue
        amount = round_money(last.billed_total, last.currency)
        if amount > 0:
            grounds = f"No bill of {account} for {month} yet; {before} was {plain(amount)} {last.currency}."
            found.append(
                Suggestion(account=account, month=month, amount=amount, currency=last.currency, grounds=grounds)
            )
    return found


def accrue_missing_bills(issuer: Issuer, month: Month, *, by: User | System, at: datetime) -> list[Accrual]:
    """Accrue every cloud bill that is missing for the month, once. Raises Forbidden, YearLocked."""
    on = month.next().first_day - timedelta(days=1)
    return [
        accrue(
            issuer,
            kind="cost",
            account=Account.CLOUD_COST,
            amount=each.amount,
            currency=each.currency,
            on=on,
            grounds=each.grounds,
            key=f"missing-bill:{each.account.pk}:{month}",
            by=by,
            at=at,
        )
        for each in missing_bills(issuer, month)
    ]


def _check(kind: str, account: Account, on: date, grounds: str) -> None:
    if kind not in KINDS or CHART[account][0] != KINDS[kind]:
        raise AccrualInvalid(
            _("A cost is accrued on an expense account, an income on an income account."), field="account"
        )
    if (on + timedelta(days=1)).day != 1:
        raise AccrualInvalid(_("An accrual belongs to the last day of a month."), field="on")
    if not grounds.strip():
        raise AccrualInvalid(_("Say how the amount was found, so that an auditor can follow it."), field="grounds")


def _check_amount(amount: Decimal, currency: str) -> None:
    exponent(currency)
    if not amount.is_finite() or amount <= 0 or round_money(amount, currency) != amount:
        raise AccrualInvalid(_("Accrue an amount above zero, to the smallest unit of its currency."), field="amount")


def _post(row: Accrual, at: datetime) -> None:
    """Post the accrual and, dated the next day, its reversal."""
    account = Account(row.account_code)
    if row.kind == "cost":
        legs = [Leg(account, row.amount, row.currency), Leg(Account.ACCRUED_COST, -row.amount, row.currency)]
    else:
        legs = [Leg(Account.ACCRUED_INCOME, row.amount, row.currency), Leg(account, -row.amount, row.currency)]
    back = [Leg(leg.account, -leg.amount, leg.currency) for leg in legs]
    words = f"{row.kind} of {row.on.isoformat()}: {row.grounds}"
    post(issuer=row.issuer, kind="accrual", source=row, on=row.on, narration=f"Accrued {words}", legs=legs, at=at)
    post(
        issuer=row.issuer,
        kind="accrual_reversal",
        source=row,
        on=row.on + timedelta(days=1),
        narration=f"Reversal of accrued {words}",
        legs=back,
        at=at,
    )
