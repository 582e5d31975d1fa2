"""An invoice that goes out through the outbox, and what a mail server sends back when it cannot deliver it."""

from datetime import UTC, datetime, timedelta

from billing.models import Invoice, InvoiceDelivery
from consortium.kernel import audit, outbox
from consortium.models import OutgoingMail
from tests.cast import Cast

NOW = datetime.now(UTC)


def issued(cast: Cast, invoice: Invoice) -> InvoiceDelivery:
    """The event of its issue goes through the outbox."""
    audit.record(
        "billing.invoice_issued", invoice, by=cast.staff, at=NOW, institution_id=invoice.institution_id,
        deliver_to=("billing.mail_invoice",),
    )  # fmt: skip
    deliver()
    return InvoiceDelivery.objects.get(invoice=invoice)


def deliver() -> None:
    outbox.deliver_due(at=datetime.now(UTC) + timedelta(seconds=1))


def mails(template: str) -> list[OutgoingMail]:
    return list(OutgoingMail.objects.filter(template=template).order_by("recipient"))


REPORT = """\
From: MAILER-DAEMON@mx.example
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="cut"

--cut
Content-Type: text/plain

I could not deliver your message.
--cut
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user here

--cut
Content-Type: {kind}

Message-ID: <{key}@consortium.portal>
Subject: An invoice

--cut--
"""


def report(mail: OutgoingMail, *, recipient: str = "", action: str = "failed", whole: bool = False) -> bytes:
    """What a mail server sends back (RFC 3464), with the mail that it refused or its headers alone."""
    kind = "message/rfc822" if whole else "text/rfc822-headers"
    text = REPORT.format(recipient=recipient or mail.recipient, action=action, kind=kind, key=mail.pk)
    return text.replace("\n", "\r\n").encode()
