"""Exchange rates: recorded with the day and the source, never guessed, never turned round, never overwritten."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from billing.models import FxRate
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import exponent, multiply, plain, round_money
from consortium.kernel.spoken import spoken_day
from members.models import User
from members.permissions import Permission, check_staff

# Central banks publish daily and monthly; an older rate than this was forgotten, not chosen.
MAX_AGE: Final = timedelta(days=31)


class RateMissing(PortalError):
    """No rate is recorded that could convert an amount on that day."""

    code = "fx_missing"


class RateConflict(Invalid):
    """Another rate is recorded for the same day, or the rate cannot be one."""

    code = "fx_conflict"


@transaction.atomic
def record_rate(
    *, base: str, quote: str, on: date, rate: Decimal, source: str, by: User | System, at: datetime
) -> FxRate:
    """Record that one `base` was worth `rate` of `quote` on a day; the same statement twice is one.

    Raises Forbidden, RateConflict, CurrencyUnknown.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    exponent(base), exponent(quote)
    if base == quote or not rate.is_finite() or rate <= 0:
        raise RateConflict(_("A rate joins two different currencies and is above zero."), field="rate")
    if not source.strip():
        raise RateConflict(_("Say who published the rate, so that an auditor can look it up."), field="source")
    row, made = FxRate.objects.get_or_create(base=base, quote=quote, on=on, defaults={"rate": rate, "source": source})
    if row.rate != rate:
        raise RateConflict(
            _("%(base)s to %(quote)s on %(day)s is already recorded as %(rate)s (%(source)s) and never changes.")
            % {"base": base, "quote": quote, "day": spoken_day(on), "rate": plain(row.rate), "source": row.source},
            field="rate",
        )
    if made:
        facts: dict[str, Fact] = {"base": base, "quote": quote, "on": on, "rate": rate, "source": source}
        audit.record("billing.fx_rate_recorded", row, by=by, at=at, institution_id=None, after=facts)
    return row


def rate_on(base: str, quote: str, *, on: date) -> FxRate | None:
    """Return the newest rate of at most 31 days before `on`, or of that day; None where there is nothing to convert.

    Raises RateMissing. An inverse is never taken: it would not be the published rate.
    """
    if base == quote:
        return None
    rates = FxRate.objects.filter(base=base, quote=quote, on__lte=on, on__gt=on - MAX_AGE)
    if row := rates.order_by("-on").first():
        return row
    raise RateMissing(
        _("No rate from %(base)s to %(quote)s is recorded for the month up to %(day)s. Record one with its source.")
        % {"base": base, "quote": quote, "day": on}
    )


def converted(amount: Decimal, rate: FxRate | None, currency: str) -> Decimal:
    """Return the exact amount converted once and rounded once to `currency`."""
    return round_money(amount if rate is None else multiply(amount, rate.rate), currency)
