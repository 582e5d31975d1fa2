"""Accounts at cloud providers: found by the name that people use, or by what a bill says of itself."""

from datetime import datetime

from django.db.models import Q
from django.utils.text import slugify
from django.utils.translation import gettext as _

from billing.focus import BillError, BillRefused, CostRecord
from billing.models import CloudAccount
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Missing
from members.models import Issuer, User

MAX_ID_CHARS = 300


class CloudAccountUnknown(Missing):
    """The bill is of an account that nobody has registered."""

    code = "account_unknown"


def account_named(issuer: Issuer, name: str) -> CloudAccount | None:
    """Return the issuer's account of that name: its slug, its number at the provider, or "provider number"."""
    accounts = CloudAccount.objects.filter(issuer=issuer)
    found = accounts.filter(Q(slug=name) | Q(billing_account_id=name)).order_by("slug").first()
    return found or next((each for each in accounts.order_by("slug") if str(each) == name), None)


def unknown_account(issuer: Issuer, name: str) -> CloudAccountUnknown:
    """Return the refusal that names what there is."""
    known = ", ".join(f"{row.slug} ({row})" for row in CloudAccount.objects.filter(issuer=issuer).order_by("slug"))
    return CloudAccountUnknown(
        _("%(issuer)s has no account %(name)s. Known accounts: %(known)s.")
        % {"name": name, "issuer": issuer.slug, "known": known or _("none")},
        field="account",
    )


def account_for(
    issuer: Issuer, first: CostRecord, *, name: str, file_name: str, create: bool, by: User | System, at: datetime
) -> CloudAccount:
    """Return the account that the bill belongs to, registering it where that is wanted.

    With `name`, the bill must be of the account of that name; a new one gets that name. Raises CloudAccountUnknown,
    BillRefused.
    """
    says = f"{first.provider} {first.billing_account_id}"
    named = account_named(issuer, name) if name else None
    held = CloudAccount.objects.filter(provider=first.provider, billing_account_id=first.billing_account_id).first()
    if named is not None and named != held:
        message = f"The bill is of the account {says}, not of {named.slug} ({named}). Name the account that it is of."
        raise BillRefused(file_name, [BillError(first.line, "BillingAccountId", message)])
    if held is not None and held.issuer_id == issuer.pk:
        if name and named is None:
            raise BillRefused(
                file_name,
                [BillError(first.line, "BillingAccountId", f"The account {says} is called {held.slug} here.")],
            )
        return held
    if held is not None or not create:
        raise unknown_account(issuer, name or says)
    return _registered(issuer, first, name=name or says, file_name=file_name, by=by, at=at)


def _registered(
    issuer: Issuer, first: CostRecord, *, name: str, file_name: str, by: User | System, at: datetime
) -> CloudAccount:
    for column, value in (("BillingAccountId", first.billing_account_id), ("ProviderName", first.provider)):
        if len(value) > MAX_ID_CHARS:
            message = f"{column} has {len(value)} characters; no account's name has more than {MAX_ID_CHARS}."
            raise BillRefused(file_name, [BillError(first.line, column, message)])
    slug = slugify(name)[:60].strip("-") or "account"
    if CloudAccount.objects.filter(slug=slug).exists():
        raise BillRefused(
            file_name,
            [BillError(0, "", f"Another account is called {slug} already. Give --account a name of its own.")],
        )
    account = CloudAccount.objects.create(
        issuer=issuer,
        slug=slug,
        provider=first.provider,
        billing_account_id=first.billing_account_id,
        created_at=at,
    )
    after = {"provider": account.provider, "billing_account_id": account.billing_account_id}
    audit.record("billing.cloud_account_added", account, by=by, at=at, institution_id=None, after=after)
    return account
