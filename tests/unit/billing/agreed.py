"""An agreement in force at Cedar, for stories about what it says of money."""

from datetime import date, datetime
from typing import Any

from consortium.kernel.tenancy import Scope, consortium_scope
from members import agreements
from members.models import Agreement
from tests.cast import Cast
from tests.unit.members.story import TERMS, make_template


def agreed(cast: Cast, *, at: datetime, starts_on: date = date(2026, 10, 15), **terms: Any) -> Agreement:
    """Drafted, offered, signed by the owner, countersigned; `terms` replace those of the schedule."""
    with consortium_scope(Scope.COMMAND):
        template = make_template(cast.issuer, at, TERMS.model_copy(update=terms))
        row = agreements.draft_agreement(
            institution=cast.university, template=template, fte=20_000, po_required=False, starts_on=starts_on,
            by=cast.staff, at=at,
        )  # fmt: skip
        agreements.offer_agreement(row, by=cast.staff, at=at)
        agreements.sign_agreement(row, name="Olga", title="VP", language="en", consent=True, by=cast.owner, at=at)
        agreements.countersign_agreement(row, name="Sam", title="Director", by=cast.staff, at=at)
    return row
