"""What stories about orders, credits and charges have in common: their papers, and SQL that PostgreSQL refuses."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction

from billing.crediting import issue_credit_note
from billing.models import (
    BillingAccount,
    CreditNote,
    Invoice,
    PurchaseOrder,
)
from billing.purchase_orders import (
    OrderLine,
    record_order,
)
from tests.cast import Cast
from tests.integration.billing.stories import (
    RUN,
)

TODAY = date(2026, 10, 15)


def refused(statement: str, *parameters: Any, words: str) -> None:
    """Speak SQL past the ORM and be refused, at once or at commit."""
    with pytest.raises(IntegrityError, match=words), transaction.atomic():
        spoken(statement, *parameters)


def spoken(statement: str, *parameters: Any) -> None:
    """Run SQL as far as the checks of a commit."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def order(account: BillingAccount, amount: str, at: datetime, **changes: Any) -> PurchaseOrder:
    wanted: dict[str, Any] = {
        "number": "PO-1",
        "lines": [OrderLine(description="Computing", amount=Decimal(amount))],
        "first_day": date(2026, 7, 1),
        "last_day": date(2027, 6, 30),
        "by": RUN,
        "at": at,
    }
    return record_order(account, **wanted | changes)


def account_of(cast: Cast) -> BillingAccount:
    return BillingAccount.objects.select_related("issuer", "institution").get(institution=cast.university)


def credit(invoice: Invoice, nets: dict[UUID, Decimal], at: datetime, **changes: Any) -> CreditNote:
    wanted: dict[str, Any] = {"reason": "A hub stood still.", "by": RUN, "at": at}
    return issue_credit_note(invoice, nets=nets, **wanted | changes)
