"""Purchase orders: recorded by the member or for it, used up by invoices to the cent, renewed in time.

An invoice takes its whole total, taxes included, from one order that holds on its day of issue. PostgreSQL keeps the
sum: two invoices never share an order's last cent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import DecimalField, QuerySet, Sum, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from psycopg.types.range import DateRange

from billing.models import BillingAccount, CreditNote, PurchaseOrder, PurchaseOrderLine, PurchaseOrderUse
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import EXACT, exact_sum, round_money
from consortium.kernel.periods import local_date
from members.models import User
from members.permissions import Permission, check_at, check_staff, staff_permissions

ASK_AT_SHARE: Final = Decimal("0.8")
ASK_BEFORE_END: Final = timedelta(days=60)
MAIL_RECEIVER: Final = "billing.mail_order_renewal"


class PurchaseOrderMissing(PortalError):
    """The payer may not be invoiced without a purchase order, and none holds on the day."""

    code = "po_missing"


class PurchaseOrderShort(PortalError):
    """No purchase order that holds on the day has enough left for the whole invoice."""

    code = "po_short"


class PurchaseOrderInvalid(Invalid):
    """The order contradicts itself, or is recorded already."""

    code = "po_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One line of an order: what for, and at most how much."""

    description: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStanding:
    """How far an order is used on a day: amounts in its currency, `share` of one."""

    order: PurchaseOrder
    used: Decimal
    left: Decimal
    share: Decimal
    first_day: date
    last_day: date
    holds: bool
    renew: bool


@transaction.atomic
def record_order(
    account: BillingAccount,
    *,
    number: str,
    lines: Sequence[OrderLine],
    first_day: date,
    last_day: date,
    by: User | System,
    at: datetime,
) -> PurchaseOrder:
    """Record an order in the account's currency that holds from `first_day` to `last_day`, both included.

    Its amount is the sum of its lines. It is never changed: a new version is a new order. Raises Forbidden,
    PurchaseOrderInvalid.
    """
    _check(by, account)
    number = number.strip()
    _check_order(account, number, lines, first_day, last_day)
    order = PurchaseOrder.objects.create(
        institution_id=account.institution_id,
        billing_account=account,
        number=number,
        amount=exact_sum(line.amount for line in lines),
        currency=account.currency,
        valid=DateRange(first_day, last_day + timedelta(days=1)),
        recorded_by=None if isinstance(by, System) else by,
        recorded_at=at,
    )
    PurchaseOrderLine.objects.bulk_create(
        PurchaseOrderLine(
            institution_id=account.institution_id,
            purchase_order=order,
            position=position,
            description=line.description.strip()[:200],
            amount=line.amount,
        )
        for position, line in enumerate(lines, start=1)
    )
    after: dict[str, Fact] = {
        "amount": order.amount, "currency": order.currency, "from": first_day, "to": last_day, "lines": len(lines)
    }  # fmt: skip
    audit.record(
        "billing.purchase_order_recorded", order, by=by, at=at, institution_id=account.institution_id, after=after
    )
    return order


@transaction.atomic
def close_order(order: PurchaseOrder, *, by: User | System, at: datetime) -> PurchaseOrder:
    """Take no more invoices on an order; what was invoiced stays. Closed before, it stays. Raises Forbidden."""
    _check(by, order.billing_account)
    order = PurchaseOrder.objects.select_for_update(of=("self",)).select_related("billing_account").get(pk=order.pk)
    if order.closed_at is None:
        PurchaseOrder.objects.filter(pk=order.pk).update(closed_at=at)
        order.closed_at = at
        audit.record("billing.purchase_order_closed", order, by=by, at=at, institution_id=order.institution_id)
    return order


def orders_of(institution_id: UUID) -> QuerySet[PurchaseOrder]:
    """Return the institution's orders with `used`, those that end last first. Needs its scope."""
    return with_use(PurchaseOrder.objects.filter(institution_id=institution_id)).order_by("-valid", "number")


def standing_of(order: PurchaseOrder, *, today: date) -> OrderStanding:
    """Say how far an order of `orders_of` is used, whether it holds today and whether a new one is wanted."""
    used: Decimal = order.used  # type: ignore[attr-defined]  # annotated
    share = _share(used, order.amount)
    last_day = order.valid.upper - timedelta(days=1)
    holds = order.closed_at is None and order.valid.lower <= today <= last_day
    return OrderStanding(
        order=order,
        used=used,
        left=EXACT.subtract(order.amount, used),
        share=share,
        first_day=order.valid.lower,
        last_day=last_day,
        holds=holds,
        renew=holds and (share >= ASK_AT_SHARE or last_day - today <= ASK_BEFORE_END),
    )


def number_on(account: BillingAccount, *, on: date) -> str:
    """Return the number of the order that holds on a day, of several the one that ends first; else the account's."""
    held = PurchaseOrder.objects.filter(billing_account=account, closed_at=None, valid__contains=on)
    number = held.order_by("valid", "number").values_list("number", flat=True).first()
    return number or account.po_number


def give_back(note: CreditNote) -> None:
    """Give back to the order what a credit note takes from an invoice that used it."""
    used = PurchaseOrderUse.objects.filter(invoice_id=note.invoice_id, credit_note=None).first()
    if used is not None:
        PurchaseOrderUse.objects.create(
            institution_id=note.institution_id,
            purchase_order_id=used.purchase_order_id,
            invoice_id=note.invoice_id,
            credit_note=note,
            amount=EXACT.minus(note.total),
            on=note.issued_on,
        )


def ask_for_renewals(*, at: datetime) -> int:
    """Ask the finance people of each order that is 80 % used, or ends within 60 days, for a new one; each once.

    Needs a consortium scope; returns how many were asked about.
    """
    asked = 0
    waiting = PurchaseOrder.objects.filter(closed_at=None, asked_at=None).select_related("billing_account__issuer")
    for order in with_use(waiting):
        today = local_date(at, order.billing_account.issuer.zone)
        if standing_of(order, today=today).renew:
            asked += _ask(order, at=at)
    return asked


@transaction.atomic
def _ask(order: PurchaseOrder, *, at: datetime) -> int:
    if not PurchaseOrder.objects.filter(pk=order.pk, asked_at=None).update(asked_at=at):
        return 0
    audit.record(
        "billing.purchase_order_renewal_asked",
        order,
        by=System("purchase orders"),
        at=at,
        institution_id=order.institution_id,
        deliver_to=(MAIL_RECEIVER,),
    )
    return 1


def with_use(orders: QuerySet[PurchaseOrder]) -> QuerySet[PurchaseOrder]:
    """Return the orders with `used`, what invoices took less what credit notes gave back."""
    nothing = Value(Decimal(0), output_field=DecimalField())
    return orders.annotate(used=Coalesce(Sum("uses__amount"), nothing, output_field=DecimalField()))


def _share(part: Decimal, whole: Decimal) -> Decimal:
    """A part of a whole, to four decimals: it decides a reminder, no money."""
    return (part / whole).quantize(Decimal("0.0001"))


def _check(by: User | System, account: BillingAccount) -> None:
    """Finance people and owners of the member may, and the consortium's finance staff. Raises Forbidden."""
    if isinstance(by, User) and Permission.CLOSE_MONTH not in staff_permissions(by):
        check_at(by, Permission.MANAGE_PURCHASE_ORDERS, account.institution_id)
    else:
        check_staff(by, Permission.CLOSE_MONTH)


def _check_order(
    account: BillingAccount, number: str, lines: Sequence[OrderLine], first_day: date, last_day: date
) -> None:
    if not number:
        raise PurchaseOrderInvalid(_("Enter the number of the purchase order."), field="number")
    if PurchaseOrder.objects.filter(billing_account=account, number=number).exists():
        raise PurchaseOrderInvalid(
            _("Purchase order %(number)s is recorded already. A new version needs a number of its own.")
            % {"number": number},
            field="number",
        )
    if last_day < first_day:
        raise PurchaseOrderInvalid(_("The last day is before the first day."), field="last_day")
    if not lines:
        raise PurchaseOrderInvalid(_("Enter at least one line with its amount."), field="amount")
    for line in lines:
        if line.amount <= 0 or round_money(line.amount, account.currency) != line.amount:
            raise PurchaseOrderInvalid(
                _("Each amount is above zero, to the smallest unit of %(currency)s.") % {"currency": account.currency},
                field="amount",
            )
        if not line.description.strip():
            raise PurchaseOrderInvalid(_("Say what each line is for."), field="description")
