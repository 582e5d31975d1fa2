"""The months of an issuer's books: made when first named, held open by whoever writes into them."""

from django.utils.translation import gettext as _

from billing.models import BillingPeriod
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import Month
from members.models import Issuer


class PeriodClosed(PortalError):
    """The month is being closed or is closed; what comes later belongs to the next open month."""

    code = "period_closed"

    def __init__(self, period: BillingPeriod, *, what: str) -> None:
        super().__init__(
            _("%(month)s is %(status)s, so %(what)s cannot be charged there any more. Charge it in an open month.")
            % {"month": period.month, "status": period.status, "what": what}
        )


def open_period(issuer: Issuer, month: str) -> BillingPeriod:
    """Return the issuer's period of that month, made now if nobody named it before, and lock it until commit.

    Importers hold the lock while they write; closing takes it first, so that no bill slips into a month that is being
    closed. The row may be in any status: the caller looks.
    """
    Month.parse(month)
    BillingPeriod.objects.bulk_create([BillingPeriod(issuer=issuer, month=month)], ignore_conflicts=True)
    return (
        BillingPeriod.objects.select_for_update(of=("self",)).select_related("issuer").get(issuer=issuer, month=month)
    )
