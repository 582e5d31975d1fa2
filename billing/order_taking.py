"""Which purchase order an invoice takes, and the taking itself, for one invoice or many, in as many queries.

An invoice takes its whole total, taxes included, from one order that holds on its day of issue: of those with enough
left, the one that ends first. PostgreSQL keeps the sum: two invoices never share an order's last cent.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.utils.translation import gettext as _

from billing.models import BillingAccount, Invoice, PurchaseOrder, PurchaseOrderUse
from billing.purchase_orders import PurchaseOrderMissing, PurchaseOrderShort, with_use
from consortium.kernel.errors import PortalError
from consortium.kernel.money import EXACT, plain
from consortium.kernel.spoken import spoken_day


class Orders:
    """The purchase orders of some billing accounts and what is left of each; `locked` holds their rows until commit."""

    def __init__(self, accounts: Iterable[BillingAccount], *, locked: bool = False) -> None:
        rows = PurchaseOrder.objects.filter(billing_account__in={account.pk for account in accounts})
        if locked:
            list(rows.select_for_update().order_by("pk").values_list("pk"))
        self._of: dict[UUID, list[PurchaseOrder]] = {}
        self._left: dict[UUID, Decimal] = {}
        for row in with_use(rows):
            self._of.setdefault(row.billing_account_id, []).append(row)
            self._left[row.pk] = EXACT.subtract(row.amount, row.used)  # type: ignore[attr-defined]  # annotated

    def fitting(self, account: BillingAccount, *, total: Decimal, on: date) -> PurchaseOrder | None:
        """Return the order that an invoice of that total would take, of those that hold the one that ends first.

        None where the account has none with enough left and requires none, or the total is zero. Raises
        PurchaseOrderMissing, PurchaseOrderShort.
        """
        if total <= 0:
            return None
        held = [each for each in self._of.get(account.pk, ()) if self._holds(each, account, on)]
        enough = [each for each in held if self._left[each.pk] >= total]
        if enough or not account.po_required:
            return min(enough, key=lambda each: (each.valid.lower, each.valid.upper, each.number), default=None)
        if not held:
            raise PurchaseOrderMissing(
                _(
                    "%(payer)s requires a purchase order, and none holds on %(day)s. Record one, then approve the "
                    "invoice."
                )
                % {"payer": account.name, "day": spoken_day(on)}
            )
        largest = max(self._left[each.pk] for each in held)
        raise PurchaseOrderShort(
            _("The invoice is %(total)s %(currency)s; no purchase order of %(payer)s has more than %(left)s left.")
            % {"total": plain(total), "currency": account.currency, "payer": account.name, "left": plain(largest)}
        )

    def take(self, invoice: Invoice, *, on: date) -> PurchaseOrder | None:
        """Take the invoice's total from the order that it names; None where it names none that is recorded.

        Raises PurchaseOrderMissing, PurchaseOrderShort when the order was used up, ended or was closed since approval.
        """
        if invoice.total <= 0:
            return None
        account = invoice.billing_account
        named = next((each for each in self._of.get(account.pk, ()) if each.number == invoice.po_number), None)
        if named is None:
            self.fitting(account, total=invoice.total, on=on)  # says what is missing, if anything is
            if account.po_required:
                raise PurchaseOrderMissing(_("The invoice names no purchase order. Discard the draft and draft again."))
            return None
        left = self._left[named.pk]
        if left < invoice.total or named.closed_at is not None or on not in named.valid:
            raise PurchaseOrderShort(
                _("Purchase order %(number)s cannot bear this invoice any more. Discard the draft and draft again.")
                % {"number": named.number}
            )
        self._left[named.pk] = EXACT.subtract(left, invoice.total)
        return named

    @staticmethod
    def _holds(order: PurchaseOrder, account: BillingAccount, on: date) -> bool:
        return order.currency == account.currency and order.closed_at is None and on in order.valid


def order_for(account: BillingAccount, *, total: Decimal, on: date) -> PurchaseOrder | None:
    """Return the order that an invoice of that total would take now. Raises as Orders.fitting does."""
    return Orders([account]).fitting(account, total=total, on=on)


def order_uses(invoices: Sequence[Invoice], *, on: date, refused: dict[UUID, PortalError]) -> list[PurchaseOrderUse]:
    """Return what the invoices take from the orders that they name, to be written by the caller.

    The orders' rows are held until commit. What no order can bear goes to `refused`.
    """
    orders = Orders((invoice.billing_account for invoice in invoices), locked=True)
    uses = []
    for invoice in invoices:
        try:
            order = orders.take(invoice, on=on)
        except (PurchaseOrderMissing, PurchaseOrderShort) as error:
            refused[invoice.pk] = error
            continue
        if order is not None:
            uses.append(
                PurchaseOrderUse(
                    institution_id=invoice.institution_id,
                    purchase_order=order,
                    invoice=invoice,
                    amount=invoice.total,
                    on=on,
                )
            )
    return uses


__all__ = ["Orders", "order_for", "order_uses"]
