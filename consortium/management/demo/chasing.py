"""What the demonstration's treasurers do about money that does not come: promises, giving up, other bank details.

One promise was kept and one broken; a write-off and a change of our bank details were proposed by a colleague and wait
for the second person, who may be whoever clicks through. Each is told once: a second run finds what the first one did.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import QuerySet

from billing.balances import amount_due
from billing.by_hand import HandPayment, record_by_hand
from billing.documents import SHEET
from billing.models import Invoice, InvoiceBalance, PaymentPromise, WriteOff
from billing.promises import record_promise, review_promises
from billing.queries import OPEN
from billing.write_offs import propose_write_off
from consortium.kernel.pdf import write_pdf
from consortium.kernel.periods import local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from members.bank_details import BankPlace, propose_bank_details
from members.models import BankDetailsChange, Issuer, User

PROMISED_BY, GIVEN_UP = "dal", "ubc"
PART = Decimal("250.00")
FIRST_SAID, CAME, SECOND_SAID, SECOND_DAY = (timedelta(days=days) for days in (16, 13, 11, 4))
PROOF = "<html lang='en'><head><title>Cheque</title></head><body><p>A cheque of 250.00.</p></body></html>"


def tell_chasing(*, issuer: Issuer, staff: User, colleague: User, at: datetime) -> None:
    """Make what is missing of it; safe to start over. Opens its own scope."""
    with consortium_scope(Scope.COMMAND):
        _promises(issuer, staff, at)
        _write_off(issuer, colleague, at)
        _bank_details(issuer, colleague, at)


def _promises(issuer: Issuer, staff: User, at: datetime) -> None:
    """A part that was promised came by cheque; the rest was promised too, and did not come."""
    rows = _open(PROMISED_BY, issuer).filter(issued_at__lt=at - FIRST_SAID)
    invoice = rows.order_by("issued_at").first()
    if invoice is None or PaymentPromise.objects.exists():
        return
    said_by, today = "Demonstration payer, by telephone", local_date(at, issuer.zone)
    came_at = at - CAME
    record_promise(
        [invoice], said_by=said_by, amount=PART, by_day=local_date(came_at, issuer.zone) + timedelta(days=1),
        note="A first part by cheque.", by=staff, at=at - FIRST_SAID,
    )  # fmt: skip
    cheque = HandPayment(
        amount=PART, received_on=local_date(came_at, issuer.zone), method="cheque", reference="DEMO-000417",
        proof=write_pdf(PROOF, sheet=SHEET), proof_name="demonstration-cheque.pdf",
    )  # fmt: skip
    record_by_hand(invoice, cheque, by=staff, at=came_at)
    review_promises(at=came_at)
    rest = amount_due(InvoiceBalance.objects.get(pk=invoice.pk))
    record_promise(
        [invoice], said_by=said_by, amount=rest, by_day=today - SECOND_DAY,
        note="The rest once their budget is open again.", by=staff, at=at - SECOND_SAID,
    )  # fmt: skip
    review_promises(at=at)


def _write_off(issuer: Issuer, colleague: User, at: datetime) -> None:
    """The newest invoice of a member: no other part of the demonstration pays it."""
    invoice = _open(GIVEN_UP, issuer).order_by("-issued_at").first()
    if invoice is None or WriteOff.objects.exists():
        return
    reason = "Demonstration: the institute behind it was closed; written to three times, no answer."
    propose_write_off(invoice, reason=reason, tax_effect="kept", by=colleague, at=at)


def _bank_details(issuer: Issuer, colleague: User, at: datetime) -> None:
    """Another account from next month on."""
    if BankDetailsChange.objects.exists():
        return
    place = BankPlace(
        bank="Example Credit Union", holder="Interactive Computing Consortium", account_number="000 200 334 455",
        routing="Transit 00020, institution 809",
    )  # fmt: skip
    reason = "Demonstration: we move to an account with a free ledger feed; checked with the branch by telephone."
    day = local_date(at, issuer.zone) + timedelta(days=30)
    propose_bank_details(issuer, place, currency="CAD", effective_on=day, reason=reason, by=colleague, at=at)


def _open(slug: str, issuer: Issuer) -> QuerySet[Invoice]:
    return Invoice.objects.filter(institution__slug=slug, issuer=issuer, status__in=OPEN, total__gt=PART * 2)
