"""The words and figures beside the request form: what is covered, what a month would cost, who would be asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from consortium.kernel.formats import money_text, number_text
from consortium.usecases.hub_price import Asked, CloudPart, HubPrice, UsersPart
from consortium.usecases.request_hub import Preview, preview_hub
from members.entitlements import Entitlements
from members.permissions import Permission
from provisioning.forms import GIB, HubRequestForm, memory_text

_MOST_USERS: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class QuotaRow:
    """One limit of the agreement against what is asked for."""

    label: str
    asked: str
    limit: str
    is_within: bool


@dataclass(frozen=True, kw_only=True)
class PriceRow:
    """One part of the estimate with what it is reckoned from; no amount where nobody can tell."""

    label: str
    basis: str
    amount: Decimal | None


@dataclass(frozen=True, kw_only=True)
class PreviewView:
    """All that templates/provisioning/_hub_preview.html shows; `headline` is said aloud when it changes."""

    quota: tuple[QuotaRow, ...]
    refusals: tuple[str, ...]
    rows: tuple[PriceRow, ...]
    currency: str
    total: Decimal
    is_partial: bool
    most: Decimal | None
    approvals: tuple[str, ...]
    headline: str


def asked_in(form: HubRequestForm, posted: Mapping[str, str]) -> tuple[str, Asked]:
    """Will read the environment and the size from a form that is still being filled in; what makes no sense yet is
    taken as the form began.
    """
    environment = posted.get("environment") or str(form.initial.get("environment") or "")
    return environment, Asked(
        memory_bytes=_whole(form, posted, "memory", GIB, most=GIB * 1024),
        max_servers=_whole(form, posted, "max_servers", 1, most=_MOST_USERS),
        expected_users=_whole(form, posted, "expected_users", 1, most=_MOST_USERS),
    )


def preview_view(
    entitlement: Entitlements,
    *,
    environment: str,
    asked: Asked,
    permissions: frozenset[Permission],
    at: datetime,
) -> PreviewView:
    """Will gather the panel, in the reader's language. Needs the institution's scope."""
    preview = preview_hub(entitlement, environment=environment, asked=asked, at=at)
    price = preview.price
    total = money_text(price.total, price.currency, language=_language(), code=True)
    return PreviewView(
        quota=_quota(entitlement, asked, preview),
        refusals=tuple(message for _field, message in preview.refusals),
        rows=_rows(price),
        currency=price.currency,
        total=price.total,
        is_partial=price.cloud is None,
        most=price.cloud.most if price.cloud else None,
        approvals=_approvals(preview, permissions),
        headline=_("About %(total)s a month") % {"total": total},
    )


def _whole(form: HubRequestForm, posted: Mapping[str, str], name: str, fallback: int, *, most: int) -> int:
    for text in (posted.get(name), form.initial.get(name), form.fields[name].initial):
        digits = str(text or "").strip()
        if digits.isdecimal() and 0 < int(digits) <= most:
            return int(digits)
    return fallback


def _quota(entitlement: Entitlements, asked: Asked, preview: Preview) -> tuple[QuotaRow, ...]:
    used = preview.existing
    return (
        QuotaRow(
            label=_("Hubs, with this one"),
            asked=_number(used + 1),
            limit=_number(entitlement.hubs),
            is_within=used < entitlement.hubs,
        ),
        QuotaRow(
            label=_("Memory of one server"),
            asked=memory_text(asked.memory_bytes),
            limit=memory_text(entitlement.memory_limit_bytes),
            is_within=asked.memory_bytes <= entitlement.memory_limit_bytes,
        ),
        QuotaRow(
            label=_("Servers at once"),
            asked=_number(asked.max_servers),
            limit=_number(entitlement.max_servers),
            is_within=asked.max_servers <= entitlement.max_servers,
        ),
    )


def _rows(price: HubPrice) -> tuple[PriceRow, ...]:
    return (
        PriceRow(
            label=_("Membership dues"),
            basis=_("Owed already; another hub does not change them."),
            amount=Decimal(0),
        ),
        PriceRow(label=_("Active users"), basis=_users_basis(price.users), amount=price.users.amount),
        PriceRow(
            label=_("Cloud cost, passed on"),
            basis=_cloud_basis(price.cloud)
            if price.cloud
            else _("At cost; no month has been invoiced to reckon from."),
            amount=price.cloud.amount if price.cloud else None,
        ),
    )


def _users_basis(part: UsersPart) -> str:
    expected = _number(part.expected)
    if part.month is None:
        text = ngettext(
            "%(count)s person at the prices in your agreement.",
            "%(count)s people at the prices in your agreement.",
            part.expected,
        )
        return text % {"count": expected}
    text = ngettext(
        "%(count)s person at the prices in your agreement, above the %(before)s of %(month)s. Who uses two hubs counts "
        "once.",
        "%(count)s people at the prices in your agreement, above the %(before)s of %(month)s. Who uses two hubs counts "
        "once.",
        part.expected,
    )
    return text % {"count": expected, "before": _number(part.before), "month": part.month.label(_language())}


def _cloud_basis(part: CloudPart | None) -> str:
    if part is None:
        return _("At cost; no month has been invoiced to reckon from.")
    rate, gib = part.rate, part.guaranteed_gib
    values = {
        "hours": number_text(rate.hours_each, language=_language(), digits=1),
        "gib": number_text(gib, language=_language(), digits=2 if gib % 1 else None),
        "rate": money_text(rate.per_gib_hour, rate.currency, language=_language(), digits=4),
        "month": rate.month.label(_language()),
        "members": rate.of_members,
    }
    if rate.of_members == 1:
        text = _(
            "%(hours)s hours a person with %(gib)s GiB guaranteed, at %(rate)s for a GiB-hour: "
            "as your hubs were in %(month)s."
        )
    else:
        text = _(
            "%(hours)s hours a person with %(gib)s GiB guaranteed, at %(rate)s for a GiB-hour: "
            "the mean of %(members)d members in %(month)s."
        )
    return text % values


def _approvals(preview: Preview, permissions: frozenset[Permission]) -> tuple[str, ...]:
    found = []
    if spending := preview.price.spending:
        found.append(_("Your owners or finance people: with this hub a month would go beyond your budget."))
        if Permission.VIEW_COSTS in permissions:
            amounts = {
                name: money_text(getattr(spending, name), spending.currency, language=_language())
                for name in ("expected", "estimate", "budget")
            }
            found[0] += " " + _("%(expected)s and %(estimate)s, against %(budget)s.") % amounts
    if preview.needs_operators:
        found.append(_("The consortium's operators, as a rule within a working day."))
    return tuple(found)


def _number(count: int) -> str:
    return number_text(count, language=_language())


def _language() -> str:
    return get_language() or "en"
