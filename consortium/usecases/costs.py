"""What a month costs an institution: its use (provisioning) beside what it is or would be charged (billing).

An invoiced month says what the invoice says; an open one what a close would invoice now, to the cent, and it says that
it is an estimate. Other members' figures are read to split what is shared, and never handed on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from billing import closing
from billing.charges import PoolView, pools_of
from billing.drafting import Draft
from billing.explaining import Why, why
from billing.facts import MemberFacts
from billing.models import BillingPeriod, InvoiceLine, Pool
from billing.periods import open_period
from billing.queries import NOT_MEMBERS_BUSINESS
from billing.what_if import Compared, replay, rule_of
from consortium.kernel.errors import Missing, PortalError
from consortium.kernel.language import bilingual
from consortium.kernel.money import exact_sum, plain
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.usecases.month_facts import member_facts
from members.models import Agreement, Institution, Issuer

BILL = "billing.BillImport"


class NoCosts(Missing):
    """The institution had no agreement by which anything could be charged."""

    code = "no_costs"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """One line of what a month costs, before tax. `evidence` is the line's own; `invoice_id` where it is invoiced."""

    kind: str
    description_en: str
    description_fr: str
    net: Decimal
    currency: str
    evidence: dict[str, Any]
    bill_id: UUID | None
    pool_key: str
    invoice_id: UUID | None = None
    invoice_number: str = ""

    def description(self, language: str) -> str:
        """The line's words in a language."""
        return bilingual(self, "description", language)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthCosts:
    """What a month costs an institution. `note` says why an open month cannot be told, or only in part."""

    month: Month
    currency: str
    lines: tuple[CostLine, ...]
    total: Decimal
    is_invoiced: bool
    note: str = ""

    def by_kind(self) -> dict[str, Decimal]:
        """The total of each kind of line, in the order of an invoice."""
        kinds = dict.fromkeys(line.kind for line in self.lines)
        return {kind: exact_sum(line.net for line in self.lines if line.kind == kind) for kind in kinds}


@dataclass(frozen=True, slots=True)
class _Told:
    period: BillingPeriod
    facts: list[MemberFacts]


def month_costs(institution: Institution, month: Month, *, at: datetime) -> MonthCosts:
    """Return what the month costs the institution. Needs no scope of the caller's. Raises NoCosts."""
    with consortium_scope(Scope.JOB):
        issuer = issuer_of(institution)
        if invoiced := _invoiced(institution, month):
            return invoiced
        return _estimated(institution, issuer, month, at=at)


def explain(institution: Institution, month: Month, *, bill_id: UUID, pool_key: str) -> Why:
    """Return how the institution's share of a pool in that month came about. Raises NoCosts, ShareMissing."""
    with consortium_scope(Scope.JOB):
        told = _told(issuer_of(institution), month)
        return why(told.period, told.facts, institution_id=institution.pk, bill_id=bill_id, pool_key=pool_key)


def what_if(institution: Institution, month: Month, *, key: str) -> list[Compared]:
    """Return the institution's shares of the month beside those under another key of billing.what_if.KEYS.

    Of the other members nothing is handed on. Raises NoCosts.
    """
    with consortium_scope(Scope.JOB):
        told = _told(issuer_of(institution), month)
        compared = replay(told.period, told.facts, rule=rule_of(key))
    return [_own(each, institution.pk) for each in compared]


def _own(compared: Compared, institution_id: UUID) -> Compared:
    def only(amounts: Any) -> dict[UUID, Decimal]:
        return {key: amount for key, amount in amounts.items() if key == institution_id}

    pool = replace(compared.pool, parts={k: part for k, part in compared.pool.parts.items() if k == institution_id})
    return replace(compared, pool=pool, actual=only(compared.actual), other=only(compared.other))


def issuer_of(institution: Institution) -> Issuer:
    """Return the issuer of the institution's newest agreement that was ever in force. Raises NoCosts."""
    signed = Agreement.objects.filter(institution=institution, status__in=["in_force", "superseded", "ended"])
    newest = signed.select_related("issuer").order_by("-version").first()
    if newest is None:
        raise NoCosts("There is no agreement in force, so nothing is charged.")
    return newest.issuer


def _told(issuer: Issuer, month: Month) -> _Told:
    period = BillingPeriod.objects.select_related("issuer").filter(issuer=issuer, month=str(month)).first()
    if period is None:
        raise NoCosts(f"{month} has no costs yet.")
    return _Told(period, member_facts(issuer, month))


def _invoiced(institution: Institution, month: Month) -> MonthCosts | None:
    lines = list(
        InvoiceLine.objects.filter(institution=institution, invoice__period__month=str(month))
        .exclude(invoice__status__in=[*NOT_MEMBERS_BUSINESS, "void"])
        .select_related("invoice")
        .order_by("invoice__issued_at", "position")
    )
    bills = _bills_of_pools(line.source_id for line in lines)
    found = [
        CostLine(
            kind=line.kind,
            description_en=line.description_en,
            description_fr=line.description_fr,
            net=line.net,
            currency=line.currency,
            evidence=line.evidence,
            bill_id=line.source_id if line.source_type == BILL else bills.get(line.source_id),
            pool_key=_pool_key(line.evidence),
            invoice_id=line.invoice_id,
            invoice_number=line.invoice.number or "",
        )
        for line in lines
    ]
    return _summed(month, found, is_invoiced=True) if found else None


def _estimated(institution: Institution, issuer: Issuer, month: Month, *, at: datetime) -> MonthCosts:
    """What a close would invoice now; a rehearsal that is rolled back, so that looking changes nothing."""
    nothing = MonthCosts(month=month, currency=issuer.currency, lines=(), total=Decimal(0), is_invoiced=False)
    try:
        facts = member_facts(issuer, month)
        with transaction.atomic():
            period = open_period(issuer, str(month))
            preview = closing.preview(period, facts, at=at)
            draft = next((each for each in preview.drafts if each.institution_id == institution.pk), None)
            lines = _of_draft(draft, pools_of(period, facts)) if draft else []
            transaction.set_rollback(True)
    except PortalError as refused:
        return replace(nothing, note=refused.message)
    note = next((each.message for each in preview.parked if each.institution_id == institution.pk), "")
    if not lines:
        currency = next((each.currency for each in facts if each.institution_id == institution.pk), issuer.currency)
        return replace(nothing, currency=currency, note=note)
    return _summed(month, lines, is_invoiced=False, note=note)


def _of_draft(draft: Draft, pools: Sequence[PoolView]) -> list[CostLine]:
    """The lines of a draft; its shares come in the order of the pools, which is how each finds its bill."""
    shares = iter(pool for pool in pools if draft.institution_id in pool.parts)
    lines = []
    for line in draft.lines:
        pool_key, bill_id = _pool_key(line.evidence), line.source_id if line.source_type == BILL else None
        if pool_key:
            bill_id = next(pool.bill_id for pool in shares if _is_share_of(line.evidence["share"], pool))
        lines.append(
            CostLine(
                kind=line.kind,
                description_en=line.description_en,
                description_fr=line.description_fr,
                net=line.net,
                currency=draft.currency,
                evidence=line.evidence,
                bill_id=bill_id,
                pool_key=pool_key,
            )
        )
    return lines


def _is_share_of(share: Mapping[str, Any], pool: PoolView) -> bool:
    wanted = (pool.key, pool.bill_month, plain(pool.exact_total))
    return (share["pool"], share["bill_month"], share["exact_total"]) == wanted


def _pool_key(evidence: Mapping[str, Any]) -> str:
    """The pool that a line is a share of, if it is one."""
    return str(evidence["share"]["pool"]) if "share" in evidence else ""


def _bills_of_pools(pool_ids: Iterable[UUID | None]) -> dict[UUID | None, UUID]:
    pools = Pool.objects.filter(pk__in=[key for key in pool_ids if key is not None])
    return dict(pools.values_list("pk", "bill_id"))


def _summed(month: Month, lines: list[CostLine], *, is_invoiced: bool, note: str = "") -> MonthCosts:
    return MonthCosts(
        month=month,
        currency=lines[0].currency,
        lines=tuple(lines),
        total=exact_sum(line.net for line in lines),
        is_invoiced=is_invoiced,
        note=note,
    )
