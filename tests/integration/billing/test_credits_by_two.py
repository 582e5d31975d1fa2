"""Large credits take two people, and a credit over what is not earned yet is taken from the months to come."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client
from django.urls import reverse

from billing import closing, deferrals, ledger
from billing.credit_proposals import approve_credit, propose_credit, withdraw_credit
from billing.crediting import CreditInvalid
from billing.invoicing import FourEyes, approve_invoice, issue_invoice
from billing.models import BillingPeriod, CreditNote, CreditProposal, DeferralCut, Invoice
from billing.reports import REPORTS, Filters
from consortium.kernel.errors import Forbidden
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import StaffSeat, User
from members.roles import StaffRole
from tests.cast import Cast, make_person
from tests.integration.billing.paperwork import credit, refused
from tests.integration.billing.stories import RUN, drafted, facts, schedule

NEXT_YEAR = datetime(2027, 1, 5, 18, tzinfo=UTC)


@pytest.fixture
def second(cast: Cast) -> User:
    """Another person of the consortium's finance."""
    person = make_person("noor", is_staff=True)
    StaffSeat.objects.create(user=person, role=StaffRole.FINANCE)
    return person


@pytest.fixture
def large(cast: Cast, period: BillingPeriod, second: User, at: datetime) -> Invoice:
    """Cedar pays 90,000.00 a year, by the year: from September to December 30,000.00. September is closed."""
    member = facts(cast.university, dues="90000.00", joined=date(2025, 1, 1), memory="1", users=0)
    member = replace(member, schedule=schedule("90000.00").model_copy(update={"dues_every": "year"}))
    with consortium_scope(Scope.JOB):
        closing.begin_closing(period, [member], by=RUN, at=at, accepted=("agreement_missing",))
        (draft,) = drafted(period, [member], at)
        invoice = issue_invoice(approve_invoice(draft, by=second, at=at), by=second, at=at)
        closing.finish_closing(period, by=RUN, at=at)
    return invoice


def of_dues(invoice: Invoice, net: str) -> dict[UUID, Decimal]:
    """So much of the dues."""
    return {invoice.lines.get(kind="dues").pk: Decimal(net)}


def booked(cast: Cast) -> tuple[Decimal, Decimal]:
    """What is deferred, and the dues that are income."""
    rows = ledger.trial_balance(cast.issuer)
    deferred, income = (exact_sum(row.balance for row in rows if row.code == code) for code in ("2300", "4000"))
    return deferred, income


def test_a_large_credit_is_proposed_by_one_person_and_let_out_by_another(
    cast: Cast, large: Invoice, second: User, at: datetime
) -> None:
    with consortium_scope(Scope.STAFF):
        nets = of_dues(large, "24000.00")  # 25,200.00 with GST
        for by in (cast.staff, RUN):
            with pytest.raises(FourEyes):
                credit(large, nets, at, by=by)
        with pytest.raises(FourEyes):
            credit(large, nets, at, by=cast.staff, approved_by=cast.staff)
        with pytest.raises(Forbidden):
            propose_credit(large, nets=nets, reason="x", by=cast.finance, at=at)
        proposal = propose_credit(large, nets=nets, reason="The hubs stood still.", by=cast.staff, at=at)
        assert (proposal.total, CreditNote.objects.count()) == (Decimal("25200.00"), 0)
        with pytest.raises(CreditInvalid, match="waits for a second person"):
            propose_credit(large, nets=nets, reason="Again.", by=second, at=at)
        with pytest.raises(FourEyes):
            approve_credit(proposal, by=cast.staff, at=at)
        note = approve_credit(proposal, by=second, at=at)
        assert approve_credit(proposal, by=second, at=at) == note
        assert (note.prepared_by, note.approved_by, note.total) == (cast.staff, second, Decimal("25200.00"))
        assert note.reason == "The hubs stood still."
        with pytest.raises(TransitionRefused):
            withdraw_credit(proposal, by=second, at=at)
        refused("UPDATE billing_creditproposal SET decided_by_id = proposed_by_id", words="is frozen")
        refused("DELETE FROM billing_creditproposal", words="is frozen")
        names = (
            "institution_id, issuer_id, invoice_id, reason, currency, net_total, tax_total, total, applied, held,"
            " issued_at, issued_on, snapshot, prepared_by_id"
        )
        more = f"INSERT INTO billing_creditnote ({names}, number, approved_by_id) SELECT {names}, 'X', "
        for approver in ("NULL", "prepared_by_id"):
            refused(f"{more} {approver} FROM billing_creditnote", words="creditnote_four_eyes")


def test_a_large_credit_in_small_pieces_is_a_large_credit(
    cast: Cast, large: Invoice, second: User, at: datetime
) -> None:
    with consortium_scope(Scope.STAFF):
        with pytest.raises(CreditInvalid, match="no second person"):
            propose_credit(large, nets=of_dues(large, "20000.00"), reason="Too much.", by=cast.staff, at=at)
        credit(large, of_dues(large, "20000.00"), at, by=cast.staff)
        with pytest.raises(FourEyes):
            credit(large, of_dues(large, "4000.00"), at, by=cast.staff)
        proposal = propose_credit(large, nets=of_dues(large, "4000.00"), reason="The rest.", by=cast.staff, at=at)
        refused("UPDATE billing_creditproposal SET total = 1", words="is frozen")
        credit(large, of_dues(large, "3000.00"), at, by=cast.staff)
        proposal = withdraw_credit(proposal, by=cast.staff, at=at)
        assert (proposal.status, CreditNote.objects.count()) == ("withdrawn", 2)
        with pytest.raises(TransitionRefused):
            approve_credit(proposal, by=second, at=at)


def test_what_is_credited_before_it_was_earned_is_never_income(cast: Cast, large: Invoice, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        assert booked(cast) == (Decimal("-22500.00"), Decimal("-7500.00"))  # closing earned September
        credit(large, of_dues(large, "10000.00"), at)
        assert booked(cast) == (Decimal("-12500.00"), Decimal("-7500.00"))
        cuts = DeferralCut.objects.order_by("-part__month").values_list("part__month", "amount")
        assert list(cuts) == [("2026-12", Decimal("7500.00")), ("2026-11", Decimal("2500.00"))]
        (year,) = [row for row in deferrals.schedule(cast.issuer) if row.month == "2026-11"]
        assert year.rest == Decimal("5000.00")
        deferrals.recognise(cast.issuer, Month(2026, 12), by=RUN, at=NEXT_YEAR)
        assert booked(cast) == (Decimal("0.00"), Decimal("-20000.00"))
        credit(large, of_dues(large, "1000.00"), NEXT_YEAR)
        assert booked(cast) == (Decimal("0.00"), Decimal("-19000.00"))
        filters = Filters(issuer=cast.issuer, since=date(2026, 1, 1), until=date(2027, 1, 31))
        _months, lines = REPORTS["deferred-income"].build(filters)
        assert lines.rows[0][5:] == [
            Decimal("30000.00"), Decimal("10000.00"), Decimal("20000.00"), Decimal("0.00"),
        ]  # fmt: skip
        cut = DeferralCut.objects.get(part__month="2026-11")
        names = "institution_id, part_id, amount, currency"
        more = f"INSERT INTO billing_deferralcut ({names}, credit_note_id) SELECT institution_id, part_id"
        note = CreditNote.objects.order_by("-number")[0]
        for amount, words in (("5000.01", "takes 7500.01"), ("-2500.01", "takes -0.01"), ("1", "income already")):
            refused(
                f"{more}, {amount}, currency, %s FROM billing_deferralcut WHERE id = %s", note.pk, cut.pk, words=words
            )
        refused("UPDATE billing_deferralcut SET amount = 1", words="append-only")


def test_staff_propose_on_the_invoices_page_and_another_person_approves(
    cast: Cast, large: Invoice, second: User, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    browsers = []
    for person in (cast.staff, second):
        Authenticator.objects.create(user=person, type=Authenticator.Type.TOTP, data={})
        browser = Client(headers={"host": "localhost"})
        browser.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        browsers.append(browser)
    first, other = browsers
    page = reverse("admin:billing_credit", args=[large.pk])
    with consortium_scope(Scope.STAFF):
        position = large.lines.get(kind="dues").position
        empty = {f"line_{line.position}": "" for line in large.lines.all()}
    wanted = empty | {f"line_{position}": "24000.00", "reason": "The hubs stood still."}
    assert b"Put it before another person" in first.post(page, wanted).content
    answer = first.post(page, wanted | {"total": "25200.00"})
    with consortium_scope(Scope.STAFF):
        proposal = CreditProposal.objects.get()
    assert answer["Location"] == reverse("admin:billing_creditproposal_change", args=[proposal.pk])
    act = reverse("admin:billing_creditproposal_act", args=[proposal.pk, "approve"])
    assert b"25,200.00" in other.get(act).content
    assert first.post(act, {"total": "25200.00"}).status_code == 422
    assert other.post(act, {"total": "25200"}).status_code == 422
    assert other.post(act, {"total": "25200.00"}).status_code == 302
    with consortium_scope(Scope.STAFF):
        assert CreditNote.objects.get().approved_by == second
