"""Billing accounts: who pays for an institution, in which currency, under which purchase order."""

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from billing.models import BillingAccount
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import exponent
from members.models import Institution, Issuer, User
from members.permissions import Permission, check_staff, staff_permissions


class AccountMissing(PortalError):
    """The institution has no billing account, so nobody could be invoiced."""

    code = "account_missing"


@dataclass(frozen=True, kw_only=True)
class Payer:
    """What identifies a payer and decides its taxes. `tax_evidence` proves the address, or non-residence."""

    name: str
    address: str
    email: str
    province: str = ""
    country: str = "CA"
    currency: str = "CAD"
    language: str = "en"
    cost_centre: str = ""
    po_required: bool = False
    po_number: str = ""
    payment_days: int = 30
    tax_evidence: str = ""


@transaction.atomic
def open_billing_account(
    *, institution: Institution, issuer: Issuer, payer: Payer, by: User | System, at: datetime
) -> BillingAccount:
    """Open an account for a payer; the same name at the same issuer is opened once.

    Who may countersign an agreement may open the account that it is billed to; so may who closes months. Raises
    Forbidden, Invalid, CurrencyUnknown.
    """
    may_countersign = isinstance(by, User) and Permission.COUNTERSIGN_AGREEMENT in staff_permissions(by)
    check_staff(by, Permission.COUNTERSIGN_AGREEMENT if may_countersign else Permission.CLOSE_MONTH)
    exponent(payer.currency)
    if not (payer.name.strip() and payer.address.strip() and payer.email.strip()):
        raise Invalid(_("A payer has a name, an address and an e-mail address for invoices."), field="name")
    account, made = BillingAccount.objects.get_or_create(
        institution=institution,
        issuer=issuer,
        name=payer.name,
        ended_at=None,
        defaults={**asdict(payer), "created_at": at},
    )
    if made:
        after = {"issuer": issuer.slug, "currency": account.currency, "po_required": account.po_required}
        audit.record("billing.account_opened", account, by=by, at=at, institution_id=institution.pk, after=after)
    return account


def accounts_by_institution(issuer: Issuer) -> dict[UUID, BillingAccount]:
    """Return the account to which each institution's charges go: the oldest open one at the issuer."""
    open_accounts = BillingAccount.objects.filter(issuer=issuer, ended_at=None).select_related("institution")
    # The oldest comes last and so stays: one query for all members.
    return {account.institution_id: account for account in open_accounts.order_by("-created_at", "-pk")}


def billing_account_for(institution_id: UUID, issuer: Issuer) -> BillingAccount:
    """Return the account to which the institution's charges go. Raises AccountMissing."""
    account = accounts_by_institution(issuer).get(institution_id)
    if account is None:
        raise AccountMissing(_("This institution has no billing account. Open one with its payer's address."))
    return account
