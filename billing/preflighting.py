"""Looking before a month is closed: what is missing, what would be left out, what stops the close.

Codes: bill_missing, unattributed, meter_gaps, sla_statement_missing, sla_insufficient, po_missing, po_short,
tax_facts_missing, fx_missing, account_missing, agreement_missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Count, Sum
from django.utils.translation import gettext as _

from billing.accounts import accounts_by_institution
from billing.bills import current_bills
from billing.charges import kept_pools, strangers, view_of_computed
from billing.facts import Finding, MemberFacts, covered
from billing.fx import RateMissing, rate_on
from billing.line_taxes import tax_lines
from billing.manual_costs import PROVIDER as MANUAL
from billing.models import BillImport, BillingAccount, BillingPeriod, CloudAccount, CostRow
from billing.order_taking import Orders
from billing.pools import compute_pools, last_day
from billing.provider_totals import provider_findings
from billing.purchase_orders import PurchaseOrderMissing, PurchaseOrderShort
from billing.tax import TaxUndecided
from billing.tax_facts import tax_facts
from billing.unattributed import open_unattributed
from consortium.kernel.errors import PortalError
from consortium.kernel.money import plain, quantum
from consortium.kernel.periods import Month, local_date, month_period
from members.models import Institution

NEVER_ACCEPTED: Final = frozenset({"fx_missing"})  # without a rate there is no amount to take responsibility for


class AccountUnfit(PortalError):
    """The member has no billing account, or one in another currency than its agreement."""

    code = "account_missing"


def preflight(period: BillingPeriod, facts: Sequence[MemberFacts], *, at: datetime) -> list[Finding]:
    """Return everything that staff should know before they close the month; the blocking ones first."""
    members = covered(facts, Month.parse(period.month))
    held = accounts(period)
    findings = [
        *_bills(period, facts, at=at),
        *provider_findings(period),
        *_unattributed(period),
        *_rates(period, members),
        *_accounts(period, members, held, at=at),
        *_without_agreement(period, facts),
        *_meters(members),
        *purchase_orders(period, members, at=at),
        *_service_levels(members),
    ]
    return sorted(findings, key=lambda finding: not finding.blocking)


def month_is_over(period: BillingPeriod, facts: Sequence[MemberFacts], *, at: datetime) -> bool:
    """Tell whether the month has ended in the issuer's zone and in every member's."""
    month = Month.parse(period.month)
    return all(month_period(month, zone).end <= at for zone in {period.issuer.zone, *(each.zone for each in facts)})


def accounts(period: BillingPeriod) -> dict[UUID, BillingAccount]:
    """Return the billing account of each institution at the period's issuer."""
    return accounts_by_institution(period.issuer)


def account_for(member: MemberFacts, held: Mapping[UUID, BillingAccount]) -> BillingAccount:
    """Return the account that a member's charges go to. Raises AccountUnfit."""
    account = held.get(member.institution_id)
    if account is None:
        raise AccountUnfit(_("There is no billing account. Open one with the payer's address."))
    if account.currency != member.currency:
        raise AccountUnfit(
            _("The agreement is in %(agreed)s, the billing account in %(account)s. Open one in the agreed currency.")
            % {"agreed": member.currency, "account": account.currency}
        )
    return account


def purchase_orders(
    period: BillingPeriod, members: Sequence[MemberFacts], *, at: datetime, totals: Mapping[UUID, Decimal] | None = None
) -> list[Finding]:
    """Return the members whose invoice will wait, because it may not go out without a purchase order for all of it.

    `totals` are the invoices' totals by institution; without them the smallest unit stands for each.
    """
    held, on, findings = accounts(period), local_date(at, period.issuer.zone), []
    orders = Orders(account for account in held.values() if account.po_required)
    for member in members:
        account = held.get(member.institution_id)
        if account is None or not account.po_required:
            continue
        total = quantum(account.currency) if totals is None else totals.get(member.institution_id, Decimal(0))
        try:
            orders.fitting(account, total=total, on=on)
        except (PurchaseOrderMissing, PurchaseOrderShort) as error:
            message = _("%(member)s: %(why)s Its invoice waits.") % {"member": member.slug, "why": error.message}
            findings.append(
                Finding(code=error.code, blocking=False, message=message, institution_id=member.institution_id)
            )
    return findings


def _bills(period: BillingPeriod, facts: Sequence[MemberFacts], *, at: datetime) -> Iterator[Finding]:
    """An account that had a bill the month before is expected to have one; once the month is over, to have it now.

    What is entered by hand comes when it comes.
    """
    month = Month.parse(period.month)
    before = BillImport.objects.filter(cloud_account__issuer=period.issuer, month=str(month.previous()))
    present = BillImport.objects.filter(cloud_account__issuer=period.issuer, month=str(month))
    missing = CloudAccount.objects.filter(pk__in=before.values("cloud_account")).exclude(
        pk__in=present.values("cloud_account")
    )
    for account in missing.exclude(provider=MANUAL).order_by("slug"):
        yield Finding(
            code="bill_missing",
            blocking=month_is_over(period, facts, at=at),
            message=_("The bill of %(account)s for %(month)s is not imported.") % {"account": account, "month": month},
        )


def _unattributed(period: BillingPeriod) -> Iterator[Finding]:
    waiting = [each.bill.pk for each in open_unattributed(period)]
    rows = CostRow.objects.filter(bill__in=waiting, destination="unattributed")
    for group in rows.values("currency").annotate(total=Sum("billed_cost"), number=Count("pk")).order_by("currency"):
        yield Finding(
            code="unattributed",
            blocking=True,
            message=_("%(rows)s rows of %(total)s %(currency)s are claimed by no rule: nobody would pay them.")
            % {"rows": group["number"], "total": plain(group["total"]), "currency": group["currency"]},
        )


def _rates(period: BillingPeriod, members: Sequence[MemberFacts]) -> Iterator[Finding]:
    """Every bill's currency must lead to the issuer's and to each member's; the issuer's to each member's."""
    billed = set(current_bills(period).values_list("currency", flat=True))
    own, wanted = period.issuer.currency, {member.currency for member in members}
    pairs = {(base, own) for base in billed} | {(base, quote) for base in billed | {own} for quote in wanted if billed}
    for base, quote in sorted(pairs):
        try:
            rate_on(base, quote, on=last_day(period))
        except RateMissing as error:
            yield Finding(code=error.code, blocking=True, message=error.message)


def _accounts(
    period: BillingPeriod, members: Sequence[MemberFacts], held: Mapping[UUID, BillingAccount], *, at: datetime
) -> Iterator[Finding]:
    """Every member needs a billing account and what its taxes depend on."""
    issuer_taxes = tax_facts(period.issuer, at=at)
    for member in members:
        code = "tax_facts_missing"
        try:
            account = account_for(member, held)
            tax_lines([("dues", member.schedule.dues)], facts=issuer_taxes.of(account), currency=member.currency)
        except (AccountUnfit, TaxUndecided) as error:
            if isinstance(error, AccountUnfit):
                code = error.code
            message = f"{member.slug}: {error.message}"
            yield Finding(code=code, blocking=True, message=message, institution_id=member.institution_id)


def _without_agreement(period: BillingPeriod, facts: Sequence[MemberFacts]) -> Iterator[Finding]:
    """A cost that goes to an institution whose agreement does not cover the month would be billed to nobody."""
    if period.status == "open":
        pools = [view_of_computed(pool) for pool in compute_pools(period, facts)]
    else:
        pools = kept_pools(period)
    keys = strangers(period, facts, pools)
    for institution in Institution.objects.filter(pk__in=keys).order_by("slug"):
        yield Finding(
            code="agreement_missing",
            blocking=True,
            message=_("%(member)s bears cost of this month, but no agreement of it covers the month.")
            % {"member": institution.slug},
            institution_id=institution.pk,
        )


def _service_levels(members: Sequence[MemberFacts]) -> Iterator[Finding]:
    """A hub whose monthly statement is not there yet may be owed a credit, which would come a month later."""
    for member in members:
        if member.statements_missing:
            yield Finding(
                code="sla_statement_missing",
                blocking=False,
                message=_("%(member)s: no service level statement yet of %(hubs)s; a credit would come a month later.")
                % {"member": member.slug, "hubs": ", ".join(member.statements_missing)},
                institution_id=member.institution_id,
            )
        if member.statements_insufficient:
            yield Finding(
                code="sla_insufficient",
                blocking=False,
                message=_("%(member)s: too little was checked to judge the service of %(hubs)s; nothing is credited.")
                % {"member": member.slug, "hubs": ", ".join(member.statements_insufficient)},
                institution_id=member.institution_id,
            )


def _meters(members: Sequence[MemberFacts]) -> Iterator[Finding]:
    for member in members:
        if member.gap_seconds:
            yield Finding(
                code="meter_gaps",
                blocking=False,
                message=_("%(member)s: the meter has no reading for %(seconds)s seconds; they are not billed.")
                % {"member": member.slug, "seconds": member.gap_seconds},
                institution_id=member.institution_id,
            )
