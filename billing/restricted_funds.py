"""Money with a purpose: a restricted grant is owed to it until spent, a reserve is set aside from net assets.

A grant that comes in is a liability, and income only as it is spent (the deferral method). A reserve moves between net
assets and its own account: it is no income. Neither can be overdrawn; PostgreSQL says so too.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Q, Sum
from django.utils.translation import gettext as _

from billing.chart_of_accounts import Account
from billing.commands import Value, body_digest, first_result
from billing.ledger import Leg, post
from billing.models import Fund, FundMovement
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import EXACT, exponent, plain, round_money
from members.models import Issuer, User
from members.permissions import Permission, check_staff


class FundInvalid(Invalid):
    """A fund lacks a word, or a movement is no amount of its currency."""

    code = "fund_invalid"


class FundOverdrawn(PortalError):
    """More would leave the fund than it holds."""

    code = "fund_overdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class FundBalance:
    """What a fund took in and gave out during some days, and held before and after."""

    fund: Fund
    opening: Decimal
    received: Decimal
    spent: Decimal
    closing: Decimal


@transaction.atomic
def open_fund(
    issuer: Issuer,
    *,
    code: str,
    kind: str,
    name_en: str,
    name_fr: str,
    purpose: str,
    giver: str,
    currency: str,
    by: User | System,
    at: datetime,
) -> Fund:
    """Open a fund ("grant" or "reserve"); the code is opened once. Raises Forbidden, FundInvalid, CurrencyUnknown."""
    check_staff(by, Permission.CLOSE_MONTH)
    exponent(currency)
    if kind not in {"grant", "reserve"} or not (code.strip() and name_en.strip() and purpose.strip() and giver.strip()):
        raise FundInvalid(
            _("A fund has a code, a kind, a name, a purpose, and someone who restricts it."), field="code"
        )
    fund, made = Fund.objects.get_or_create(
        issuer=issuer,
        code=code,
        defaults={
            "kind": kind,
            "name_en": name_en,
            "name_fr": name_fr or name_en,
            "purpose": purpose,
            "giver": giver,
            "currency": currency,
            "created_at": at,
        },
    )
    if made:
        facts: dict[str, Fact] = {"code": code, "kind": kind, "currency": currency}
        audit.record("billing.fund_opened", fund, by=by, at=at, institution_id=None, after=facts)
    return fund


def receive(
    fund: Fund, *, amount: Decimal, on: date, grounds: str, key: str, by: User | System, at: datetime
) -> FundMovement:
    """Put money into a fund: a grant's arrives at the bank, a reserve's is set aside from net assets.

    The same key and figures return the first movement. Raises Forbidden, FundInvalid, KeyReused, YearLocked.
    """
    return _move(fund, amount, on=on, grounds=grounds, key=key, by=by, at=at)


def spend(
    fund: Fund, *, amount: Decimal, on: date, grounds: str, key: str, by: User | System, at: datetime
) -> FundMovement:
    """Take money out for the fund's purpose: a grant's becomes income beside its cost, a reserve's returns.

    The same key and figures return the first movement. Raises Forbidden, FundInvalid, FundOverdrawn, KeyReused,
    YearLocked.
    """
    return _move(fund, -amount, on=on, grounds=grounds, key=key, by=by, at=at)


def held(fund: Fund, *, until: date | None = None) -> Decimal:
    """Return what a fund holds, in its currency, at the end of the day `until` (None: of all movements)."""
    movements = FundMovement.objects.filter(fund=fund)
    if until is not None:
        movements = movements.filter(on__lte=until)
    return movements.aggregate(sum=Sum("amount"))["sum"] or Decimal(0)


def balances(issuer: Issuer, *, since: date, until: date) -> list[FundBalance]:
    """Return every fund with what moved from `since` up to, not including, `until`."""
    inside = Q(movements__on__gte=since, movements__on__lt=until)
    funds = Fund.objects.filter(issuer=issuer).annotate(
        opening=Sum("movements__amount", filter=Q(movements__on__lt=since)),
        received=Sum("movements__amount", filter=inside & Q(movements__amount__gt=0)),
        spent=Sum("movements__amount", filter=inside & Q(movements__amount__lt=0)),
    )
    found = []
    for fund in funds.order_by("code"):
        opening, received, spent = (each or Decimal(0) for each in (fund.opening, fund.received, fund.spent))
        closing = EXACT.add(opening, EXACT.add(received, spent))
        found.append(FundBalance(fund=fund, opening=opening, received=received, spent=-spent, closing=closing))
    return found


@transaction.atomic
def _move(
    fund: Fund, amount: Decimal, *, on: date, grounds: str, key: str, by: User | System, at: datetime
) -> FundMovement:
    check_staff(by, Permission.CLOSE_MONTH)
    body: dict[str, Value] = {"fund": fund.pk, "amount": amount, "on": on, "grounds": grounds}
    if row := first_result(FundMovement, key=key, body=body):
        return row
    fund = Fund.objects.select_for_update(of=("self",)).select_related("issuer").get(pk=fund.pk)
    _check(fund, amount, grounds)
    row = FundMovement.objects.create(
        fund=fund,
        on=on,
        amount=amount,
        currency=fund.currency,
        grounds=grounds,
        created_at=at,
        command_key=key,
        command_digest=body_digest(body),
    )
    words = f"{'Into' if amount > 0 else 'Out of'} the fund {fund.code}: {grounds}"
    legs = _legs(fund, amount)
    post(issuer=fund.issuer, kind="fund_movement", source=row, on=on, narration=words, legs=legs, at=at)
    facts: dict[str, Fact] = {"fund": fund.code, "amount": amount, "currency": fund.currency, "on": on}
    audit.record("billing.fund_moved", row, by=by, at=at, institution_id=None, after=facts)
    crash_point("fund.before_commit")
    return row


def _legs(fund: Fund, amount: Decimal) -> list[Leg]:
    """A grant in: bank against the liability; out: the liability against income. A reserve: net assets against it."""
    if fund.kind == "reserve":
        against, own = Account.NET_ASSETS, Account.RESERVE
    else:
        against, own = Account.BANK if amount > 0 else Account.GRANT_INCOME, Account.RESTRICTED
    return [Leg(against, amount, fund.currency), Leg(own, -amount, fund.currency)]


def _check(fund: Fund, amount: Decimal, grounds: str) -> None:
    if not amount.is_finite() or amount == 0 or round_money(amount, fund.currency) != amount:
        raise FundInvalid(_("Move an amount above zero, to the smallest unit of the fund's currency."), field="amount")
    if not grounds.strip():
        raise FundInvalid(_("Name the grant letter, or what the money was spent on."), field="grounds")
    rest = held(fund)
    if rest + amount < 0:
        raise FundOverdrawn(
            _("The fund holds %(rest)s %(currency)s, which is less.")
            % {"rest": plain(rest), "currency": fund.currency},
            field="amount",
        )
