"""What happened to the demonstration's open invoices: a disputed line, a question, payment in parts, reminders.

Each is told once: a second run finds what the first one did.
"""

from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from billing.arrangements import arrange
from billing.balances import amount_due
from billing.disputes import ask_payer, disputable, open_dispute
from billing.models import Invoice, InvoiceQuestion, LineDispute, PaymentArrangement
from billing.queries import OPEN
from billing.questions import ask_question
from billing.reminding import remind_due
from consortium.kernel.money import EXACT
from consortium.kernel.periods import local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.usecases.enforce_standing import enforce_standing
from members.models import User

CENT = Decimal("0.01")


def tell_collecting(*, staff: User, at: datetime) -> None:
    """Make what is missing of the story of getting paid; safe to start over. Opens its own scopes."""
    with consortium_scope(Scope.COMMAND):
        rows = Invoice.objects.filter(status__in=OPEN, total__gt=0).select_related("institution", "issuer", "balance")
        newest = {row.institution_id: row for row in rows.order_by("issued_at")}
        invoices = sorted(newest.values(), key=lambda row: row.institution.slug)
        if len(invoices) > 2:
            _dispute(invoices[0], staff, at)
            _question(invoices[1], at)
            _parts(invoices[2], staff, at)
    remind_due(at=at)
    enforce_standing(at=at)


def _dispute(invoice: Invoice, staff: User, at: datetime) -> None:
    if LineDispute.objects.exists():
        return
    lines = disputable(invoice)
    if not lines:
        return
    line, left, _open = min(lines, key=lambda each: each[1])
    dispute = open_dispute(
        line,
        net=left,
        text="Two of these users are test accounts of our own technicians.",
        name="Demonstration payer",
        email=f"accounts.payable@{invoice.institution.slug}.demo.example",
        language=invoice.institution.language,
        at=at - timedelta(days=2),
    )
    ask_payer(dispute, text="Which accounts are they? Their names on the hub are enough.", by=staff, at=at)


def _question(invoice: Invoice, at: datetime) -> None:
    if InvoiceQuestion.objects.exists():
        return
    ask_question(
        invoice,
        text="May we pay the next three invoices with one transfer?",
        name="Demonstration payer",
        email=f"accounts.payable@{invoice.institution.slug}.demo.example",
        language=invoice.institution.language,
        at=at - timedelta(hours=5),
    )


def _parts(invoice: Invoice, staff: User, at: datetime) -> None:
    if PaymentArrangement.objects.exists():
        return
    due, today = amount_due(invoice.balance), local_date(at, invoice.issuer.zone)
    half = (due / 2).quantize(CENT, rounding=ROUND_DOWN)
    days = (today + timedelta(days=20), today + timedelta(days=50))
    parts = [(days[0], half), (days[1], EXACT.subtract(due, half))]
    arrange([invoice], parts, reason="Its budget year begins next month; agreed by telephone.", by=staff, at=at)
