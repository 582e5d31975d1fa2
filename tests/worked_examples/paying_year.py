"""The script of a year of being paid: 40 members, 13 months, 520 invoices, and how each of them is paid, or not.

Cedar has a hub and stops paying in December; it is led down its ladder, pays in autumn, and is led up again. Everybody
else pays each month in one of the ways below, in turn, so that every way is taken about forty times.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing import bank_queue
from billing.bank_import import import_statement
from billing.bank_matching import accept_as_credit
from billing.by_hand import HandPayment, record_by_hand
from billing.closing import allocate_pools, begin_closing, draft_invoices
from billing.disputes import credit_dispute, open_dispute
from billing.invoicing import approve_invoices, issue_invoices
from billing.models import BankAccount, BankLine, Invoice, InvoiceBalance, InvoiceLine, Payment
from billing.payments import amount_due, start_payment
from billing.periods import open_period
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from members.agreements import draft_agreement
from members.models import Agreement, Institution
from members.schedule_terms import Lapse
from tests.cast import Cast, make_institution
from tests.integration.billing.stories import RUN, facts, open_account, register
from tests.signatures import put_in_force
from tests.unit.billing.checkout import BAD_CARD, Till
from tests.unit.members.story import TERMS, make_template

FIRST, MONTHS, MEMBERS = Month(2026, 10), 13, 40
ZONE = ZoneInfo("America/Vancouver")
PROOF = b"%PDF-1.7 a scanned cheque"


def at_noon(day: date) -> datetime:
    """The middle of a day where the issuer is."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=ZONE)


@dataclass
class Year:
    """Who takes part, and what the bank has sent so far."""

    cast: Cast
    till: Till
    members: list[Institution]
    account: BankAccount
    lines: list[tuple[date, Decimal, str, str]] = field(default_factory=list)
    agreements: dict[str, Agreement] = field(default_factory=dict)

    # --- Ways of paying ----------------------------------------------------------------------------------------------

    def hear(self, at: datetime) -> None:
        """Whatever the provider has told since the last time; every tenth time twice, and backwards."""
        bodies = self.till.news(after=self.till.heard)
        self.till.heard += len(bodies)
        again = bodies[::-1] if self.till.heard % 10 == 0 else []
        for body in (*bodies, *again):
            self.till.hear(body, at=at)

    def checkout(self, invoice: Invoice, at: datetime) -> Payment:
        """The payment page for all that is due."""
        return start_payment(invoice, return_url="http://127.0.0.1/return", at=at, gateway=self.till.gateway)

    def transfer(self, day: date, amount: Decimal, reference: str, payer: str) -> None:
        """Money arrives at the bank; it is known when the statement comes."""
        self.lines.append((day, amount, reference, payer))

    def statement(self, at: datetime) -> int:
        """The bank's file of all lines so far comes, twice; whatever is certain is matched by itself."""
        known = [line for line in self.lines if line[0] < at.date()]
        rows = [f"{day},{amount},{payer},{reference}" for day, amount, reference, payer in known]
        content = "\n".join(["day,amount,payer,text", *rows, ""]).encode()
        with consortium_scope(Scope.COMMAND):
            done = import_statement(self.account, content, file_name="bank.csv", by=self.cast.staff, at=at)
            again = import_statement(self.account, content, file_name="bank.csv", by=self.cast.staff, at=at)
            assert again.lines == ()
            matched = bank_queue.match_by_itself(done.lines, at=at)
            for line in bank_queue.waiting_lines():
                self.reconcile(line, at)
            return matched

    def reconcile(self, line: BankLine, at: datetime) -> None:
        """A person takes the suggestion that the line itself names; what names a paid invoice becomes credit."""
        for found in bank_queue.suggestions_for(line):
            if any(invoice.number in line.text for invoice in found.invoices):
                bank_queue.accept_suggestion(line, found.key, with_fee=False, by=self.cast.staff, at=at)
                return
        payer = next(each for each in self.members if each.name_en == line.payer)
        accept_as_credit(line, payer, by=self.cast.staff, at=at)


Way = Callable[[Year, Invoice, date], None]


def due_on(invoice: Invoice) -> Decimal:
    """What is due on it now."""
    with consortium_scope(Scope.COMMAND):
        return amount_due(InvoiceBalance.objects.get(pk=invoice.pk))


def by_card(year: Year, invoice: Invoice, day: date) -> None:
    """At once."""
    year.till.card(year.checkout(invoice, at_noon(day)))
    year.hear(at_noon(day))


def by_a_card_that_is_declined_first(year: Year, invoice: Invoice, day: date) -> None:
    """The second card is good."""
    payment = year.checkout(invoice, at_noon(day))
    year.till.card(payment, BAD_CARD)
    year.hear(at_noon(day))
    by_card(year, invoice, day)


def by_debit(year: Year, invoice: Invoice, day: date) -> None:
    """It settles days later."""
    year.till.debit(year.checkout(invoice, at_noon(day)))
    year.hear(at_noon(day))
    year.till.settle()
    year.hear(at_noon(day + timedelta(days=5)))


def by_a_debit_that_fails(year: Year, invoice: Invoice, day: date) -> None:
    """Five days later the bank refuses it; a card pays."""
    year.till.debit(year.checkout(invoice, at_noon(day)))
    year.hear(at_noon(day))
    year.till.settle("failed")
    year.hear(at_noon(day + timedelta(days=5)))
    by_card(year, invoice, day + timedelta(days=6))


def by_transfer(year: Year, invoice: Invoice, day: date) -> None:
    """With the invoice's number."""
    year.transfer(day, due_on(invoice), f"Invoice {invoice.number}", invoice.institution.name_en)


def by_two_transfers(year: Year, invoice: Invoice, day: date) -> None:
    """The first is short."""
    due = due_on(invoice)
    year.transfer(day, Decimal("100.00"), f"part of {invoice.number}", invoice.institution.name_en)
    year.transfer(day, due - Decimal("100.00"), f"rest of {invoice.number}", invoice.institution.name_en)


def by_cheque(year: Year, invoice: Invoice, day: date) -> None:
    """Entered by hand with its proof; ten dollars too much become credit."""
    told = HandPayment(
        amount=due_on(invoice) + 10,
        received_on=day,
        method="cheque",
        reference=f"CHQ {invoice.number}",
        proof=PROOF,
        proof_name="cheque.pdf",
    )
    with consortium_scope(Scope.COMMAND):
        record_by_hand(invoice, told, by=year.cast.staff, at=at_noon(day))


def twice(year: Year, invoice: Invoice, day: date) -> None:
    """By card, and by a transfer that was on its way."""
    due = due_on(invoice)
    by_card(year, invoice, day)
    year.transfer(day, due, f"Invoice {invoice.number}", invoice.institution.name_en)


def with_a_disputed_line(year: Year, invoice: Invoice, day: date) -> None:
    """A line is disputed and credited in part; the rest is paid by card."""
    at = at_noon(day)
    with institution_scope(invoice.institution_id):
        line = InvoiceLine.objects.filter(invoice=invoice).order_by("position").first()
        assert line is not None
        dispute = open_dispute(
            line, net=line.net, text="We left.", name="Fin", email="fin@example.ca", language="en", at=at
        )
    with consortium_scope(Scope.COMMAND):
        credit_dispute(dispute, net=Decimal("20.00"), text="Agreed.", by=year.cast.staff, at=at)
    by_card(year, invoice, day)


def late(year: Year, invoice: Invoice, day: date) -> None:
    """Twenty days after it was due, reminded twice."""
    assert invoice.due_on is not None
    by_transfer(year, invoice, invoice.due_on + timedelta(days=20))


WAYS: tuple[Way, ...] = (
    by_card,
    by_transfer,
    by_debit,
    by_two_transfers,
    by_cheque,
    by_a_card_that_is_declined_first,
    by_a_debit_that_fails,
    with_a_disputed_line,
    late,
    twice,
)


# --- The world -------------------------------------------------------------------------------------------------------


def found(cast: Cast, till: Till) -> Year:
    """Forty members with agreements, accounts and ladders; our account at the bank."""
    begin = at_noon(FIRST.first_day)
    with consortium_scope(Scope.COMMAND):
        register(cast.issuer)
        others = [make_institution(f"m{number:02d}") for number in range(3, MEMBERS + 1)]
        members = [cast.university, cast.other_university, *others]
        template = make_template(cast.issuer, begin, TERMS.model_copy(update={"lapse": Lapse(), "term_months": 24}))
        agreements = {}
        for institution in members:
            open_account(institution, cast.issuer, province="BC", at=begin)
            agreement = draft_agreement(
                institution=institution, template=template, fte=5_000, po_required=False, starts_on=FIRST.first_day,
                by=cast.staff, at=begin,
            )  # fmt: skip
            put_in_force(agreement, at=begin)
            agreements[institution.slug] = agreement
        columns = {"booked_on": "day", "amount": "amount", "payer": "payer", "text": "text"}
        account = BankAccount.objects.create(
            issuer=cast.issuer, name="Main", number="0001234", currency="CAD", accept_from=80,
            csv_mapping={"delimiter": ",", "date_format": "%Y-%m-%d", "decimal_mark": ".", **columns},
        )  # fmt: skip
    return Year(cast, till, members, account, agreements=agreements)


def bill(year: Year, month: Month, at: datetime) -> list[Invoice]:
    """Close a month: one invoice for each member."""
    with consortium_scope(Scope.COMMAND):
        members = [
            facts(each, dues="1200.00", joined=FIRST.first_day, memory="1", users=20 + number)
            for number, each in enumerate(year.members)
        ]
        period = open_period(year.cast.issuer, str(month))
        begin_closing(period, members, by=RUN, at=at)
        allocate_pools(period, members, at=at)
        drafts = draft_invoices(period, members, by=RUN, at=at)
        approve_invoices(drafts, by=RUN, at=at)
        assert not issue_invoices(drafts, by=RUN, at=at).refused
        rows = Invoice.objects.filter(period=period).select_related("institution", "issuer").order_by("number")
        return list(rows)
