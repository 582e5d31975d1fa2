"""A payer's address from which mail came back: shown to the member, who corrects it; what came back goes out again.

The corrected address becomes the billing account's own, so later invoices go there too. The task that staff had is
closed with it. Mail that a bank, a portal or a person of the member did not get is not of this kind.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _

from billing.delivering import next_attempt
from billing.models import BillingAccount, Invoice, InvoiceDelivery, MailBounce
from billing.states_collecting import BOUNCE
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid, PortalError
from members.models import User
from members.permissions import Permission, check_at

MAIL_CORRECTED: Final = "billing.mail_address_corrected"
OPEN: Final = ("issued", "partly_paid")
HANDLED: Final = "The member corrected the address."


class NothingCameBack(PortalError):
    """No mail to this payer came back, or the address was corrected since."""

    code = "nothing_came_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncedAddress:
    """A payer's address that fails: `bounces` are the mails that came back, the first one first."""

    account: BillingAccount
    bounces: tuple[MailBounce, ...]
    invoices: tuple[Invoice, ...]

    @property
    def first(self) -> MailBounce:
        """Since when it fails."""
        return self.bounces[0]

    @property
    def last(self) -> MailBounce:
        """What its server says now."""
        return self.bounces[-1]


def bounced_addresses(institution_id: UUID) -> list[BouncedAddress]:
    """Return the member's payers whose mail comes back, by name, with the open invoices that wait. Needs its scope."""
    found: dict[BillingAccount, list[MailBounce]] = {}
    rows = MailBounce.objects.filter(institution_id=institution_id, status="open").order_by("at", "pk")
    for bounce in rows.select_related("mail"):
        if account := account_of(bounce):
            found.setdefault(account, []).append(bounce)
    return [
        BouncedAddress(account=account, bounces=tuple(bounces), invoices=tuple(_waiting(bounces)))
        for account, bounces in sorted(found.items(), key=lambda each: (each[0].name, each[0].pk))
    ]


def bounced_address(account: BillingAccount) -> BouncedAddress | None:
    """Return what came back from one payer; None where nothing did. Needs the institution's scope."""
    found = bounced_addresses(account.institution_id)
    return next((each for each in found if each.account.pk == account.pk), None)


def account_of(bounce: MailBounce) -> BillingAccount | None:
    """Return the payer to whom a mail was written; None where it was written to a person."""
    if bounce.institution_id is None:
        return None
    accounts = BillingAccount.objects.filter(institution_id=bounce.institution_id)
    carried = InvoiceDelivery.objects.filter(mail_id=bounce.mail_id).values("invoice__billing_account")
    return (
        accounts.filter(pk__in=carried).first()
        or accounts.filter(email__iexact=bounce.recipient, ended_at=None).order_by("created_at", "pk").first()
    )


@transaction.atomic
def correct_address(account: BillingAccount, *, email: str, by: User | System, at: datetime) -> tuple[Invoice, ...]:
    """Will make `email` the payer's address, send the open invoices that came back there once more, and close the task.

    Later invoices and mails go there too; an address that was mended may be given again. Returns the invoices that go
    out. Raises Forbidden, Invalid, NothingCameBack.
    """
    check_at(by, Permission.CORRECT_BILLING_ADDRESS, account.institution_id)
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account.pk)
    place = _checked(email)
    bounced = bounced_address(account)
    if bounced is None:
        raise NothingCameBack(_("Nothing waits any more: the address was corrected already. Reload the page."))
    was = account.email
    BillingAccount.objects.filter(pk=account.pk).update(email=place)
    for invoice in bounced.invoices:
        next_attempt(invoice, channel="inbox", recipient=place, by=by, at=at)
    handler = by if isinstance(by, User) else None
    for bounce in bounced.bounces:
        BOUNCE.move(bounce, "handled", handled_by=handler, handled_at=at, note=HANDLED)
    after: dict[str, Fact] = {
        "to": audit.digest(place), "mails": len(bounced.bounces), "invoices": len(bounced.invoices)
    }  # fmt: skip
    audit.record(
        "billing.address_corrected",
        account,
        by=by,
        at=at,
        institution_id=account.institution_id,
        before={"to": audit.digest(was)},
        after=after,
        deliver_to=(MAIL_CORRECTED,),
    )
    crash_point("address.corrected")
    return bounced.invoices


def _waiting(bounces: list[MailBounce]) -> list[Invoice]:
    """The open invoices whose last mail came back, those that are due first."""
    mails = [bounce.mail_id for bounce in bounces]
    rows = Invoice.objects.filter(deliveries__mail__in=mails, deliveries__status="bounced", status__in=OPEN)
    gone = InvoiceDelivery.objects.filter(status__in=("prepared", "sent", "accepted")).values("invoice")
    return list(rows.exclude(pk__in=gone).distinct().order_by("due_on", "number"))


def _checked(email: str) -> str:
    place = email.strip()
    try:
        validate_email(place)
    except ValidationError:
        raise Invalid(_("Enter an e-mail address, such as accounts.payable@example.org."), field="email") from None
    return place
