"""Links that let a finance office see and pay one invoice without an account.

A link is a secret of 256 bits, kept as its hash, for one invoice and 90 days. Whoever holds an expired one can ask for
a fresh one, which goes to the recorded address and nowhere else.
"""

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from billing.inboxes import recorded_address
from billing.models import Invoice, InvoiceBalance, PayLink
from billing.payments import PAYER, amount_due
from billing.snapshot import InvoiceSnapshot
from consortium.kernel import audit
from consortium.kernel.errors import Missing, PortalError
from consortium.kernel.formats import money_text
from consortium.kernel.language import first_language
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.kernel.secrets import new_token, token_hash
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import AuditEvent

VALID_FOR: Final = timedelta(days=90)
ONE_MAIL_IN: Final = timedelta(minutes=15)


class PayLinkUnknownError(Missing):
    """No invoice belongs to the link."""

    code = "pay_link_unknown"


class PayLinkExpiredError(PortalError):
    """The link was good once."""

    code = "pay_link_expired"
    status = 410


@transaction.atomic
def issue_pay_link(invoice: Invoice, *, at: datetime) -> str:
    """Will make a link to the invoice and return its token, which nobody can read again. Needs an open scope."""
    token = new_token()
    PayLink.objects.create(
        institution_id=invoice.institution_id,
        invoice_id=invoice.pk,
        token_hash=token_hash(token),
        created_at=at,
        expires_at=at + VALID_FOR,
    )
    return token


def pay_url(token: str, language: str) -> str:
    """The address of the pay page, whole, in a language."""
    with translation.override(language):
        return settings.PUBLIC_URL + reverse("pay", args=[token])


def open_pay_link(token: str, *, at: datetime) -> Invoice:
    """Will return the invoice of a link; see its rows in `institution_scope(invoice.institution_id)` and no wider one.

    Raises PayLinkUnknownError, PayLinkExpiredError.
    """
    link = _find(token)
    if link.expires_at <= at:
        raise PayLinkExpiredError(_("This link has expired."))
    return link.invoice


def ask_for_fresh_link(token: str, *, at: datetime) -> None:
    """Will mail a new link to the address on the invoice, at most one in 15 minutes. Raises PayLinkUnknownError."""
    invoice = _find(token).invoice
    with institution_scope(invoice.institution_id):
        # Askers at the same time wait here for each other.
        InvoiceBalance.objects.select_for_update().get(pk=invoice.pk)
        asked = AuditEvent.objects.filter(
            action="billing.pay_link_requested", object_id=str(invoice.pk), at__gt=at - ONE_MAIL_IN
        )
        if not asked.exists():
            audit.record(
                "billing.pay_link_requested",
                invoice,
                by=PAYER,
                at=at,
                institution_id=invoice.institution_id,
                deliver_to=("billing.mail_pay_link",),
            )


@receiver("billing.mail_pay_link")
def mail_pay_link(event: AuditEvent) -> None:
    """Send the fresh link to the payer's recorded address."""
    invoice = Invoice.objects.select_related("balance").get(pk=event.object_id)
    snapshot = InvoiceSnapshot.from_json(invoice.snapshot)
    language = first_language(invoice.language)
    url = pay_url(issue_pay_link(invoice, at=event.at), language)
    due = money_text(amount_due(invoice.balance), invoice.currency, language=language, code=True)
    compose(
        event,
        recipient=recorded_address(invoice),
        template="billing_pay_link",
        language=language,
        context={"snapshot": snapshot, "due": due, "pay_url": url},
        at=event.at,
    )


def _find(token: str) -> PayLink:
    with consortium_scope(Scope.PAY_LINK):
        link = PayLink.objects.select_related("invoice").filter(token_hash=token_hash(token)).first()
    if link is None:
        raise PayLinkUnknownError(_("This link leads to no invoice. Check that you have copied all of it."))
    return link
