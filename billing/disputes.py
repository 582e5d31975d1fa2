"""A payer disputes a line: only its amount is held, with a clock for whose turn it is; it ends by credit or release.

The consortium answers within two weeks, or asks something back; a payer who leaves that unanswered for two weeks has
the amount due again. Our own slowness never costs the payer anything: an open dispute holds until we answer it.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from billing.crediting import issue_credit_note, left_of, plan_credit
from billing.models import CreditNote, DisputeEntry, Invoice, InvoiceBalance, InvoiceLine, LineDispute
from billing.payments import PAYABLE, PAYER
from billing.settlement import amount_due
from billing.states_collecting import DISPUTE
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.language import first_language
from consortium.kernel.money import plain
from consortium.kernel.periods import local_date
from members.models import User
from members.permissions import Permission, check_staff

ANSWER_DAYS: Final = 14  # ours, and the payer's when we ask back
CLOCK: Final = System("dispute clock")


class DisputeRefused(PortalError):
    """The line is disputed already, or nothing on it can be."""

    code = "dispute_refused"


@transaction.atomic
def open_dispute(
    line: InvoiceLine,
    *,
    net: Decimal,
    text: str,
    name: str,
    email: str,
    language: str,
    at: datetime,
    by: User | System = PAYER,
) -> LineDispute:
    """Will hold `net` of a line, with its taxes, until it is decided; the rest of the invoice stays due.

    Who asks holds the pay link, or the permission to pay at the institution: the edge knows. Needs the institution's
    scope. Raises Invalid, CreditInvalid for more than is left of the line, DisputeRefused.
    """
    balance = InvoiceBalance.objects.select_for_update().get(pk=line.invoice_id)
    invoice = Invoice.objects.get(pk=line.invoice_id)
    _check_open(invoice, balance, text=text, name=name, net=net)
    plan = plan_credit(invoice, {line.pk: net})
    try:
        with transaction.atomic():
            dispute = LineDispute.objects.create(
                institution_id=invoice.institution_id,
                invoice=invoice,
                line=line,
                net=plan.net,
                amount=plan.total,
                currency=invoice.currency,
                name=name.strip()[:200],
                email=email.strip(),
                language=first_language(language),
                opened_at=at,
                answer_by=_clock(invoice, at),
            )
    except IntegrityError as error:
        if "linedispute_one_open_per_line" not in str(error):
            raise
        raise DisputeRefused(_("This line is disputed already. Its page shows how that stands.")) from None
    _said(dispute, "payer", text, by=by, at=at)
    facts = {"line": line.position, "amount": plan.total, "currency": invoice.currency, "answer_by": dispute.answer_by}
    _record(dispute, "opened", by=by, at=at, after=facts)
    return dispute


@transaction.atomic
def ask_payer(dispute: LineDispute, *, text: str, by: User | System, at: datetime) -> None:
    """Will ask something back; the clock is the payer's now. Raises Forbidden, Invalid, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    _check_text(text)
    DISPUTE.move(dispute, "asked", answer_by=_clock(dispute.invoice, at))
    _said(dispute, "consortium", text, by=by, at=at)
    _record(dispute, "asked", by=by, at=at, after={"answer_by": dispute.answer_by})


@transaction.atomic
def reply(dispute: LineDispute, *, text: str, at: datetime, by: User | System = PAYER) -> None:
    """Will add what the payer says; where we had asked, it is our turn again. Raises Invalid, DisputeRefused."""
    _check_text(text)
    dispute.refresh_from_db()
    if dispute.status == "asked":
        DISPUTE.move(dispute, "open", answer_by=_clock(dispute.invoice, at))
    elif dispute.status != "open":
        raise DisputeRefused(_("This dispute has ended. Ask a question instead."))
    _said(dispute, "payer", text, by=by, at=at)
    _record(dispute, "replied", by=by, at=at)


@transaction.atomic
def credit_dispute(dispute: LineDispute, *, net: Decimal, text: str, by: User | System, at: datetime) -> CreditNote:
    """Will take back so much of the line by a credit note and end the dispute; what is not taken back is due again.

    Raises Forbidden, Invalid, CreditInvalid, TransitionRefused, and FourEyes for a large credit: that is proposed and
    approved first, then ends the dispute through `credited_by`.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    _check_text(text)
    if net > dispute.net:
        raise Invalid(
            _("At most the disputed %(net)s %(currency)s can be taken back here, before tax.")
            % {"net": plain(dispute.net), "currency": dispute.currency},
            field="net",
        )
    note = issue_credit_note(dispute.invoice, nets={dispute.line_id: net}, reason=text.strip()[:300], by=by, at=at)
    DISPUTE.move(dispute, "credited", credit_note=note, ended_at=at)
    _said(dispute, "consortium", text, by=by, at=at)
    _record(dispute, "credited", by=by, at=at, after={"credit_note": note.number, "total": note.total})
    return note


@transaction.atomic
def credited_by(dispute: LineDispute, note: CreditNote, *, text: str, by: User | System, at: datetime) -> None:
    """Will end a dispute by a credit note that was issued by itself, as one that two people approved is.

    Raises Forbidden, Invalid for a note that takes nothing back of the line or is older, TransitionRefused.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    _check_text(text)
    if note.issued_at < dispute.opened_at or not note.lines.filter(invoice_line=dispute.line_id).exists():
        raise Invalid(_("That credit note takes nothing back of this line since it was disputed."), field="number")
    DISPUTE.move(dispute, "credited", credit_note=note, ended_at=at)
    _said(dispute, "consortium", text, by=by, at=at)
    _record(dispute, "credited", by=by, at=at, after={"credit_note": note.number, "total": note.total})


@transaction.atomic
def release_dispute(dispute: LineDispute, *, text: str, by: User | System, at: datetime) -> None:
    """Will say why the line stands; its amount is due again. Raises Forbidden, Invalid, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    _check_text(text)
    DISPUTE.move(dispute, "released", ended_at=at)
    _said(dispute, "consortium", text, by=by, at=at)
    _record(dispute, "released", by=by, at=at)


@transaction.atomic
def withdraw_dispute(dispute: LineDispute, *, at: datetime, by: User | System = PAYER) -> None:
    """Will end a dispute that the payer takes back. Raises TransitionRefused."""
    DISPUTE.move(dispute, "withdrawn", ended_at=at)
    _record(dispute, "withdrawn", by=by, at=at)


def release_unanswered(*, at: datetime) -> int:
    """Will release what payers left unanswered beyond its day, by the days of each invoice; returns how many.

    Needs a consortium scope. Each is a compare-and-set: an answer that comes at the same moment wins or loses whole.
    """
    done = 0
    late = LineDispute.objects.filter(status="asked", answer_by__lt=(at + timedelta(days=1)).date())
    for dispute in late.select_related("invoice", "line"):
        if dispute.answer_by >= local_date(at, zone_of(dispute.invoice)):
            continue
        with transaction.atomic():
            moved = LineDispute.objects.filter(pk=dispute.pk, status="asked").update(status="released", ended_at=at)
            if not moved:
                continue
            with translation.override(dispute.language):
                text = _(
                    "Our question was not answered in time, so the amount is due again. Write to us if that is wrong."
                )
            _said(dispute, "consortium", text, by=CLOCK, at=at)
            _record(dispute, "released", by=CLOCK, at=at)
            done += 1
    return done


def disputable(invoice: Invoice) -> list[tuple[InvoiceLine, Decimal, LineDispute | None]]:
    """Return the lines above zero with what is left of each before tax, and the dispute that is open on it."""
    left = left_of(invoice)
    disputes = {row.line_id: row for row in LineDispute.objects.filter(invoice=invoice, ended_at=None)}
    lines = InvoiceLine.objects.filter(invoice=invoice, net__gt=0).order_by("position")
    return [(line, left[line.pk], disputes.get(line.pk)) for line in lines if left[line.pk] > 0 or line.pk in disputes]


def disputes_of(invoice: Invoice) -> list[LineDispute]:
    """Return every dispute of an invoice, the newest first, with its line."""
    return list(LineDispute.objects.filter(invoice=invoice).select_related("line", "credit_note"))


def dispute_of(invoice: Invoice, key: UUID) -> LineDispute | None:
    """Return one dispute of an invoice."""
    return LineDispute.objects.filter(invoice=invoice, pk=key).select_related("line", "invoice").first()


def zone_of(invoice: Invoice) -> str:
    """The zone whose days count for an invoice: its agreement's, as it stands on the document."""
    return str(invoice.snapshot.get("zone") or invoice.zone)


def _clock(invoice: Invoice, at: datetime) -> date:
    return local_date(at, zone_of(invoice)) + timedelta(days=ANSWER_DAYS)


def _check_open(invoice: Invoice, balance: InvoiceBalance, *, text: str, name: str, net: Decimal) -> None:
    _check_text(text)
    if not name.strip():
        raise Invalid(_("Enter your name: we answer a person."), field="name")
    if net <= 0:
        raise Invalid(_("Enter how much of the line you dispute, before tax."), field="net")
    if invoice.status not in PAYABLE or amount_due(balance) <= 0:
        raise DisputeRefused(_("Nothing is due on this invoice, so nothing can be held. Ask a question instead."))


def _check_text(text: str) -> None:
    if not text.strip():
        raise Invalid(_("Write a sentence or two: the other side decides by it."), field="text")


def _said(dispute: LineDispute, side: str, text: str, *, by: User | System, at: datetime) -> None:
    author = by if isinstance(by, User) else None
    DisputeEntry.objects.create(
        institution_id=dispute.institution_id, dispute=dispute, side=side, author=author, text=text.strip(), at=at
    )


def _record(
    dispute: LineDispute, what: str, *, by: User | System, at: datetime, after: dict[str, Fact] | None = None
) -> None:
    audit.record(
        f"billing.dispute_{what}",
        dispute,
        by=by,
        at=at,
        institution_id=dispute.institution_id,
        after={"status": dispute.status, **(after or {})},
        deliver_to=("billing.mail_dispute",),
    )
