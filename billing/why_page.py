"""The page that says why a share is what it is, in the language that is active: each step with its figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.documents import words
from billing.explaining import Why
from billing.queries import ServiceCost
from consortium.kernel.charts import Bar, Chart, horizontal_bars
from consortium.kernel.money import EXACT


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: what, how it was reckoned, what came out."""

    label: str
    reckoning: str
    result: str


@dataclass(frozen=True, kw_only=True)
class WhyPage:
    """All that templates/costs/why.html shows."""

    title: str
    account: str
    lead: str
    steps: Sequence[Step]
    chart: Chart | None
    services: Sequence[ServiceCost]
    bill_currency: str
    total: Decimal
    row_count: int


def why_page(found: Why) -> WhyPage:
    """Will put the words to the figures."""
    pool = found.pool
    facts = {"members": found.members, "method": words.method(pool.method), "basis": words.basis(pool.basis)}
    lead = _("%(members)s members share this cost %(method)s.")
    if pool.basis:
        lead = _("%(members)s members share this cost %(method)s, measured as %(basis)s in %(month)s.")
        facts["month"] = words.month(pool.basis_month)
    return WhyPage(
        title=_("Your share of “%(pool)s”") % {"pool": pool.key},
        account=str(found.bill.cloud_account),
        lead=lead % facts,
        steps=tuple(_steps(found)),
        chart=_chart(found),
        services=found.services,
        bill_currency=pool.bill_currency,
        total=pool.exact_total,
        row_count=found.row_count,
    )


def _steps(found: Why) -> Iterator[Step]:
    pool = found.pool
    rows = ngettext(
        "sum of %(rows)s row, every decimal kept", "sum of %(rows)s rows, every decimal kept", found.row_count
    )
    yield Step(
        label=_("Shared cost on the provider's bill of %(month)s") % {"month": words.month(pool.bill_month)},
        reckoning=rows % {"rows": words.number(Decimal(found.row_count))},
        result=words.money(pool.exact_total, pool.bill_currency, exact=True),
    )
    if pool.fx is not None:
        rate = {
            "base": pool.bill_currency,
            "rate": words.number(pool.fx.rate),
            "quote": pool.currency,
            "source": f"{pool.fx.source}, {words.day(pool.fx.on)}",
        }
        label, reckoning = (
            _("Converted once and rounded to the cent"),
            _("1 %(base)s = %(rate)s %(quote)s (%(source)s)"),
        )
        yield Step(label=label, reckoning=reckoning % rate, result=words.money(pool.rounded_total, pool.currency))
    else:
        label = _("Rounded once to the cent")
        yield Step(label=label, reckoning="", result=words.money(pool.rounded_total, pool.currency))
    yield Step(
        label=_("Your part of all members' %(basis)s") % {"basis": words.basis(pool.basis)}
        if pool.basis
        else _("Your part of the weights"),
        reckoning=_("%(weight)s of %(total)s")
        % {"weight": words.number(found.weight), "total": words.number(found.total_weight)},
        result=words.share(found.weight, found.total_weight),
    )
    yield Step(
        label=_("Your share"),
        reckoning=_("cents left over by rounding go to the largest remainders"),
        result=words.money(found.amount, pool.currency),
    )


def _chart(found: Why) -> Chart | None:
    """The member's share beside what the others bear; None for a credit, which has no length."""
    pool = found.pool
    others = EXACT.subtract(pool.rounded_total, found.amount)
    if found.amount < 0 or others < 0:
        return None
    parts = ((_("Your share"), found.amount), (_("All other members together"), others))
    return horizontal_bars(
        title=_("Your part of the pool"),
        description=_("Of %(total)s.") % {"total": words.money(pool.rounded_total, pool.currency)},
        label_heading=_("Who"),
        value_heading=_("Amount before tax"),
        bars=[Bar(label=label, value=amount, text=words.money(amount, pool.currency)) for label, amount in parts],
    )
