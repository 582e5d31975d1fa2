"""A member's credit goes on its invoices as they are issued: oldest first, exact, unless its payer is asked."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from billing import ledger
from billing.balances import amount_due
from billing.chart_of_accounts import Account
from billing.emails import mail_invoice
from billing.invoicing import approve_invoices, issue_invoices
from billing.ledger import Leg
from billing.member_credit import CreditTooLittle, apply_credit, credit_held, credits_with_rest, hold, undo_credit
from billing.models import (
    BankMatch,
    BillingAccount,
    Invoice,
    InvoiceBalance,
    LedgerLeg,
    MemberCredit,
    MemberCreditUse,
)
from billing.pay_links import issue_pay_link
from billing.periods import open_period
from billing.snapshot import InvoiceSnapshot
from consortium.kernel import audit, crash
from consortium.kernel.money import exact_sum
from consortium.kernel.tenancy import Scope, consortium_scope, enter_scope
from consortium.models import AuditEvent, OutgoingMail
from members.models import Institution
from tests.cast import Cast, make_cast, make_institution
from tests.integration.billing.stories import MONTH, RUN, drafted, facts, open_account, set_up
from tests.integration.members.browser import signed_in, text_of

TOTAL = Decimal("136.50")  # a twelfth of 1,200.00, three users of 10.00, GST
FIRST, SECOND, THIRD = date(2026, 7, 3), date(2026, 8, 3), date(2026, 9, 3)


@pytest.fixture
def drafts(cast: Cast, at: datetime) -> list[Invoice]:
    """The drafts of four members, the first of which is Cedar."""
    with consortium_scope(Scope.JOB):
        set_up(cast, at)
        others = [make_institution(f"u{number}") for number in range(3)]
        for each in others:
            open_account(each, cast.issuer, province="BC", at=at)
        members = [
            facts(each, dues="1200.00", joined=date(2025, 1, 1), memory="1", users=3)
            for each in (cast.university, *others)
        ]
        return drafted(open_period(cast.issuer, MONTH), members, at)


def receive_credit(cast: Cast, member: Institution, amount: str, on: date, at: datetime) -> MemberCredit:
    """A transfer for no invoice."""
    source = BankMatch(pk=uuid4())
    credit = hold(
        source, issuer=cast.issuer, institution_id=member.pk, amount=Decimal(amount), currency="CAD",
        about=f"Bank transfer of {on}", received_on=on, at=at,
    )  # fmt: skip
    legs = [Leg(Account.BANK, Decimal(amount), "CAD"), Leg(Account.MEMBER_CREDIT, -Decimal(amount), "CAD")]
    ledger.post(
        issuer=cast.issuer, kind="bank_match", source=source, on=on, narration="A transfer", legs=legs, at=at,
        institution_id=member.pk,
    )  # fmt: skip
    return credit


def issue(drafts: Sequence[Invoice], at: datetime) -> list[Invoice]:
    """Approve and issue them; PostgreSQL checks what it would check at commit."""
    approve_invoices(drafts, by=RUN, at=at)
    outcome = issue_invoices(drafts, by=RUN, at=at)
    assert not outcome.refused
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    return list(outcome.done)


def stands(invoice: Invoice) -> tuple[str, Decimal]:
    """The state of an invoice and what is due on it."""
    invoice.refresh_from_db()
    return invoice.status, amount_due(InvoiceBalance.objects.get(pk=invoice.pk))


def rests() -> list[Decimal]:
    """What is left of each credit, the oldest first."""
    rows = credits_with_rest(MemberCredit.objects.all()).order_by("received_on", "pk")
    return [row.rest for row in rows]  # type: ignore[attr-defined]


def the_books_agree(cast: Cast) -> None:
    """Member by member, open invoices less unapplied credit is what the ledger says."""
    for member in Institution.objects.filter(billing_accounts__issuer=cast.issuer).distinct():
        due = exact_sum(amount_due(each) for each in InvoiceBalance.objects.filter(institution=member))
        held = credit_held(member.pk).get("CAD", Decimal(0))
        legs = LedgerLeg.objects.filter(entry__institution_id=member.pk, account__code__in=["1100", "2200"])
        assert due - held == exact_sum(legs.values_list("amount", flat=True))
    assert ledger.receivables_agree(cast.issuer)


def test_the_oldest_credit_goes_first_to_the_cent_and_one_payer_is_asked(
    cast: Cast, drafts: list[Invoice], at: datetime
) -> None:
    cedar, covered, asked, without = drafts
    with consortium_scope(Scope.JOB):
        for amount, on in (("50.00", SECOND), ("40.00", FIRST), ("10.25", THIRD)):
            receive_credit(cast, cedar.institution, amount, on, at)
        receive_credit(cast, covered.institution, "500.00", FIRST, at)
        receive_credit(cast, asked.institution, "500.00", FIRST, at)
        BillingAccount.objects.filter(pk=asked.billing_account_id).update(ask_before_credit=True)
        issue(drafts, at)
        assert stands(cedar) == ("partly_paid", TOTAL - Decimal("100.25"))
        assert stands(covered) == ("paid", Decimal(0))
        assert stands(asked) == ("issued", TOTAL)
        assert stands(without) == ("issued", TOTAL)
        assert InvoiceSnapshot.from_json(cedar.snapshot).total == TOTAL, "the document stays as it was issued"
        used = MemberCreditUse.objects.filter(invoice=cedar).order_by("credit__received_on")
        assert [use.amount for use in used] == [Decimal("40.00"), Decimal("50.00"), Decimal("10.25")]
        assert credit_held(covered.institution_id) == {"CAD": Decimal("500.00") - TOTAL}
        assert AuditEvent.objects.filter(action="billing.credit_applied").count() == 4
        assert audit.verify() == []
        the_books_agree(cast)
        issue_invoices(drafts, by=RUN, at=at)
        assert MemberCreditUse.objects.count() == 4, "issuing once more uses nothing"
        undo_credit(used[0], reason="It was meant for the next one.", by=RUN, at=at)
        assert stands(cedar) == ("partly_paid", TOTAL - Decimal("60.25"))
        the_books_agree(cast)


def test_a_crash_leaves_neither_number_nor_use_and_the_next_try_makes_both_once(
    cast: Cast, drafts: list[Invoice], at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        receive_credit(cast, drafts[0].institution, "100.00", FIRST, at)
        crash.arm("credit.at_issue")
        with pytest.raises(crash.SimulatedCrash):
            issue(drafts, at)
        crash.disarm()
        assert not Invoice.objects.exclude(number=None).exists()
        assert (rests(), MemberCreditUse.objects.count()) == ([Decimal("100.00")], 0)
        issue(drafts, at)
        assert (rests(), MemberCreditUse.objects.count()) == ([Decimal(0)], 1)
        the_books_agree(cast)


def test_many_with_credit_cost_no_more_queries_than_one(cast: Cast, drafts: list[Invoice], at: datetime) -> None:
    counts = []
    with consortium_scope(Scope.JOB):
        issue(drafts[:1], at)  # opens the series and the accounts of the books
        for each in drafts[1:]:
            receive_credit(cast, each.institution, "20.00", FIRST, at)
            receive_credit(cast, each.institution, "30.00", SECOND, at)
        approve_invoices(drafts, by=RUN, at=at)
        for some in (drafts[1:2], drafts[2:]):
            with CaptureQueriesContext(connection) as queries:
                issue_invoices(some, by=RUN, at=at)
            counts.append(len(queries))
        assert MemberCreditUse.objects.count() == 6
    assert counts[0] == counts[1]


def test_the_mail_the_pay_page_and_the_statement_say_what_was_used(
    cast: Cast, drafts: list[Invoice], at: datetime, settings: Any
) -> None:
    settings.SECURE_SSL_REDIRECT = False
    cedar, covered, asked, _without = drafts
    with consortium_scope(Scope.JOB):
        receive_credit(cast, cedar.institution, "100.25", FIRST, at)
        receive_credit(cast, covered.institution, "500.00", FIRST, at)
        receive_credit(cast, asked.institution, "70.00", FIRST, at)
        BillingAccount.objects.filter(pk=asked.billing_account_id).update(ask_before_credit=True)
        cedar, covered, asked, _without = issue(drafts, at)
        for event in AuditEvent.objects.filter(action="billing.invoice_issued"):
            mail_invoice(event)
        mails = {mail.recipient: mail.body for mail in OutgoingMail.objects.filter(template="billing_invoice")}
        token = issue_pay_link(cedar, at=at)
    mine, paid, waiting = (mails[f"ap@{each.institution.slug}.example"] for each in (cedar, covered, asked))
    assert "36.25" in mine
    assert "Your credit was used for it: " in mine
    assert "There is nothing to pay." in paid
    assert "Tell us if it shall be used" in waiting
    page = text_of(Client().get(f"/en/pay/{token}/"))
    assert "Your credit was used for this invoice" in page
    assert "36.25" in page
    assert "Votre crédit a servi" in text_of(Client().get(f"/fr/pay/{token}/"))
    finance = signed_in(cast.finance)
    assert "100.25" in text_of(finance.get(f"/en/i/cedar/invoices/{cedar.pk}/"))
    days = "?first_day=2026-01-01&last_day=2027-12-31"
    statement = text_of(finance.get(f"/en/i/cedar/statement/{days}"))
    assert f"Your credit was used, invoice {cedar.number} (" in statement
    assert "36.25" in statement, "the closing balance"


def test_finance_staff_set_that_a_payer_is_asked_and_it_is_audited(
    cast: Cast, drafts: list[Invoice], at: datetime, settings: Any
) -> None:
    settings.SECURE_SSL_REDIRECT = False
    account, staff = drafts[0].billing_account, signed_in(cast.staff)
    page = f"/en/staff/billing/billingaccount/{account.pk}/change/"
    held = staff.get(page).context["adminform"].form.initial
    sent = {name: value for name, value in held.items() if value not in (None, False)} | {
        "created_at_0": f"{at:%Y-%m-%d}", "created_at_1": f"{at:%H:%M:%S}", "ask_before_credit": "on",
    }  # fmt: skip
    assert staff.post(page, sent).status_code == 302
    with consortium_scope(Scope.STAFF):
        account.refresh_from_db()
        changed = AuditEvent.objects.get(action="billing.billingaccount_changed")
    assert (account.ask_before_credit, changed.actor_id) == (True, cast.staff.pk)
    assert "ask_before_credit" in changed.after["fields"]
    assert signed_in(cast.finance).post(page, sent).status_code in {302, 403, 404}, "a member's person is no staff"


@trying(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12, deadline=None)
@given(
    gifts=st.lists(st.lists(st.integers(1, 30_000), max_size=3), min_size=4, max_size=4),
    asked=st.sets(st.integers(0, 3)),
    cut=st.integers(0, 4),
)
def test_whatever_is_held_member_balances_are_the_ledger_and_nothing_is_left_beside_a_debt(
    cast: Cast, drafts: list[Invoice], at: datetime, gifts: list[list[int]], asked: set[int], cut: int
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT example")
        enter_scope(Scope.JOB)
        for number, (draft, cents) in enumerate(zip(drafts, gifts, strict=True)):
            for day, each in enumerate(cents, start=1):
                receive_credit(cast, draft.institution, str(Decimal(each) / 100), date(2026, 8, day), at)
            account = BillingAccount.objects.filter(pk=draft.billing_account_id)
            account.update(ask_before_credit=number in asked)
        for some in (drafts[:cut], drafts[cut:]):
            issue(some, at)
        the_books_agree(cast)
        for number, (draft, cents) in enumerate(zip(drafts, gifts, strict=True)):
            wanted = Decimal(0) if number in asked else min(Decimal(sum(cents)) / 100, TOTAL)
            assert stands(draft)[1] == TOTAL - wanted
            mine = credits_with_rest(MemberCredit.objects.filter(institution=draft.institution_id))
            left = [(row.rest, row.amount) for row in mine.order_by("received_on")]  # type: ignore[attr-defined]
            begun = [index for index, (rest, amount) in enumerate(left) if rest < amount]
            assert all(left[index][0] == 0 for index in begun[:-1]), "the oldest first"
        cursor.execute("ROLLBACK TO SAVEPOINT example")


@pytest.mark.slow
def test_issuing_and_putting_credit_on_by_hand_at_once_both_end_well(committed_db: str, at: datetime) -> None:
    """Each of six members has an open invoice of before; a set that names it, too, is issued while staff pay it."""
    people = make_cast(at)
    with consortium_scope(Scope.JOB):
        set_up(people, at)
        members = [make_institution(f"u{number}") for number in range(6)]
        for each in members:
            open_account(each, people.issuer, province="BC", at=at)
        told = [facts(each, dues="1200.00", joined=date(2025, 1, 1), memory="1", users=3) for each in members]
        before = issue(drafted(open_period(people.issuer, MONTH), told, at), at)
        for each in members:
            receive_credit(people, each, "150.00", FIRST, at)
        at += timedelta(days=20)
        drafts = drafted(open_period(people.issuer, "2026-10"), told, at)
        approve_invoices(drafts, by=RUN, at=at)
    ready = Barrier(2)

    def by_hand(old: Invoice) -> None:
        try:
            ready.wait(10)
            with suppress(CreditTooLittle), consortium_scope(Scope.JOB):
                apply_credit(old, by=RUN, at=at)
        finally:
            connections.close_all()

    def at_issue(old: Invoice, new: Invoice) -> None:
        try:
            ready.wait(10)
            with consortium_scope(Scope.JOB):
                assert not issue_invoices([old, new], by=RUN, at=at).refused
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        for old, new in zip(before, drafts, strict=True):
            for done in (pool.submit(by_hand, old), pool.submit(at_issue, old, new)):
                done.result(20)
    with consortium_scope(Scope.JOB):
        the_books_agree(people)
        for old, new in zip(before, drafts, strict=True):
            assert stands(old)[1] + stands(new)[1] == 2 * TOTAL - Decimal("150.00")
