"""What a payer may do from the pay page beside paying: ask us something, pass the link on to a colleague.

Whoever holds the link may, so both are limited for each invoice, and neither shows anything that the link does not.
"""

from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _

from billing.models import Invoice, InvoiceBalance, InvoiceQuestion, LinkShare
from billing.payments import PAYER
from billing.states_collecting import INVOICE_QUESTION
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.language import first_language
from members.models import User
from members.permissions import Permission, check_staff

A_DAY: Final = timedelta(days=1)
MOST_IN_A_DAY: Final = 5
LONGEST: Final = 5_000


class TooOften(PortalError):
    """The link was used for this too many times in a day."""

    code = "too_often"
    status = 429


@transaction.atomic
def ask_question(
    invoice: Invoice, *, text: str, name: str, email: str, language: str, at: datetime, by: User | System = PAYER
) -> InvoiceQuestion:
    """Will put a question to the consortium's finance people; the answer goes to `email`. Needs the invoice's scope.

    Raises Invalid, and TooOften beyond five in a day on one invoice.
    """
    _lock(invoice)
    if not text.strip():
        raise Invalid(_("Write your question."), field="text")
    if not name.strip():
        raise Invalid(_("Enter your name: we answer a person."), field="name")
    if InvoiceQuestion.objects.filter(invoice=invoice, asked_at__gt=at - A_DAY).count() >= MOST_IN_A_DAY:
        raise TooOften(_("Several questions were asked today. Wait for our answer, or write to the address below."))
    question = InvoiceQuestion.objects.create(
        institution_id=invoice.institution_id,
        invoice=invoice,
        name=name.strip()[:200],
        email=_address(email),
        language=first_language(language),
        text=text.strip()[:LONGEST],
        asked_at=at,
    )
    _record("billing.question_asked", question, by=by, at=at, mail="billing.mail_question")
    return question


@transaction.atomic
def answer_question(question: InvoiceQuestion, *, answer: str, by: User | System, at: datetime) -> None:
    """Will answer by mail to whoever asked, in their language. Raises Forbidden, Invalid, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    if not answer.strip():
        raise Invalid(_("Write the answer: it goes out by mail."), field="answer")
    author = by if isinstance(by, User) else None
    INVOICE_QUESTION.move(question, "answered", answer=answer.strip(), answered_by=author, answered_at=at)
    _record("billing.question_answered", question, by=by, at=at, mail="billing.mail_question_answer")


@transaction.atomic
def share_link(invoice: Invoice, *, email: str, language: str, at: datetime, by: User | System = PAYER) -> LinkShare:
    """Will mail a link of their own to a colleague, once a day for each address; nobody is shown it.

    Needs the invoice's scope. Raises Invalid, and TooOften beyond five in a day on one invoice.
    """
    _lock(invoice)
    address = _address(email)
    today = LinkShare.objects.filter(invoice=invoice, shared_at__gt=at - A_DAY)
    if existing := today.filter(email__iexact=address).first():
        return existing
    if today.count() >= MOST_IN_A_DAY:
        raise TooOften(_("The link went to five people today. Try again tomorrow."))
    share = LinkShare.objects.create(
        institution_id=invoice.institution_id,
        invoice=invoice,
        email=address,
        language=first_language(language),
        shared_at=at,
    )
    _record("billing.link_shared", share, by=by, at=at, mail="billing.mail_share")
    return share


def _lock(invoice: Invoice) -> None:
    """Askers at the same time wait here for each other, so that limits hold."""
    InvoiceBalance.objects.select_for_update().get(pk=invoice.pk)


def _address(text: str) -> str:
    address = text.strip()
    try:
        validate_email(address)
    except ValidationError:
        raise Invalid(_("Enter an e-mail address, such as name@university.example."), field="email") from None
    return address


def _record(action: str, row: InvoiceQuestion | LinkShare, *, by: User | System, at: datetime, mail: str) -> None:
    after = {"invoice": row.invoice_id}
    audit.record(action, row, by=by, at=at, institution_id=row.institution_id, after=after, deliver_to=(mail,))
