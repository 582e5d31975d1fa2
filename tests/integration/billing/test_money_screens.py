"""What people see of money: the mail with the invoice, the staff's acts, ageing, and why a share is what it is."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client
from django.urls import reverse

from billing import closing, queries
from billing.admin import TotalMismatch, act_approve, act_issue, preview_invoice
from billing.models import BillingPeriod, Invoice, Share
from consortium.kernel import outbox
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import Document, OutgoingMail
from tests.cast import Cast
from tests.integration.billing.stories import (
    MONTH,
    RUN,
    drafted,
    issued,
    three_to_one,
)


def test_an_issued_invoice_is_mailed_once_with_its_pdf_and_a_link(invoices: list[Invoice], at: datetime) -> None:
    assert outbox.deliver_due(at=at) == 2
    assert outbox.deliver_due(at=at + timedelta(hours=1)) == 0
    with consortium_scope(Scope.JOB):
        mail = OutgoingMail.objects.get(recipient="ap@cedar.example")
        assert mail.subject == f"Invoice {invoices[0].number} of Interactive Computing Consortium"
        assert "2,602.57\N{NO-BREAK SPACE}CAD" in mail.body
        assert "14 November 2026" in mail.body
        assert "/en/pay/" in mail.body
        (attachment,) = mail.attachment_ids
        assert Document.objects.get(pk=attachment).subject_id == str(invoices[0].pk)


def test_staff_type_the_total_before_anything_moves(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    with consortium_scope(Scope.STAFF):
        draft, _ = drafted(period, three_to_one(cast), at)
        assert dict(preview_invoice(draft))["Total"] == "2,602.57\N{NO-BREAK SPACE}CAD"
        for typed in ("2602.5", "2,602.57", "2602.58", "much"):
            with pytest.raises(TotalMismatch):
                act_approve(draft, total=typed, by=cast.staff, at=at)
        act_approve(draft, total="2602.57", by=cast.staff, at=at)
        draft.refresh_from_db()
        act_issue(draft, total="2602.57", by=cast.staff, at=at)
        draft.refresh_from_db()
        assert draft.status == "issued"


@pytest.fixture
def client(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The browser of a member of staff with a second factor."""
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    Authenticator.objects.create(user=cast.staff, type=Authenticator.Type.TOTP, data={})
    client = Client(headers={"host": "localhost"})
    client.force_login(cast.staff, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_every_staff_page_of_money_opens_and_none_edits_an_invoice(
    cast: Cast, invoices: list[Invoice], client: Client
) -> None:
    names = (
        "allocationpolicy billimport billingaccount billingperiod cloudaccount costrow fxrate invoice ledgeraccount "
        "ledgerentry matchingrule numberseries payment pool providerevent"
    )
    for name in names.split():
        assert client.get(reverse(f"admin:billing_{name}_changelist")).status_code == 200, name
    page = reverse("admin:billing_invoice_change", args=[invoices[0].pk])
    response = client.get(page)
    assert response.status_code == 200
    assert b'name="total"' not in response.content
    assert client.post(page, {"total": "1.00"}).status_code == 403


def test_ageing_counts_days_past_due(cast: Cast, invoices: list[Invoice]) -> None:
    due = date(2026, 11, 14)
    with institution_scope(cast.university.pk):
        for late, bucket in (
            (0, "not_due"),
            (1, "to_30"),
            (30, "to_30"),
            (31, "to_60"),
            (61, "to_90"),
            (91, "over_90"),
        ):
            (aged,) = queries.ageing(on=due + timedelta(days=late))
            assert getattr(aged, bucket) == aged.total == Decimal("2602.57"), late
        assert queries.invoices_of(cast.university.pk).count() == 1
        assert not queries.invoices_of(cast.other_university.pk).exists()
    with consortium_scope(Scope.STAFF):
        (together,) = queries.ageing(on=due, issuer_id=cast.issuer.pk)
        assert together.total == Decimal("3391.16")


def test_a_month_is_told_by_kind_and_pool(cast: Cast, invoices: list[Invoice]) -> None:
    with institution_scope(cast.university.pk):
        costs = {(cost.kind, cost.pool): cost.net for cost in queries.costs_of(cast.university.pk, months=[MONTH])}
    assert costs == {
        ("active_users", ""): Decimal("1000.00"),
        ("direct_cost", ""): Decimal("140.01"),
        ("dues", ""): Decimal("1000.00"),
        ("shared_cost", "shared"): Decimal("315.00"),
        ("shared_cost", "tax"): Decimal("23.63"),
    }


def test_a_share_is_explained_down_to_the_rows_without_showing_another_member(
    cast: Cast, invoices: list[Invoice]
) -> None:
    with institution_scope(cast.other_university.pk):
        shared = queries.shares_of(cast.other_university.pk, month=MONTH)[0]
        why = queries.explain_share(shared)
        assert (why.share.weight, why.total_weight, why.members) == (Decimal(1_800_000), Decimal(7_200_000), 2)
        assert [(each.service, each.rows, each.total) for each in why.services] == [
            ("Virtual Machines", 2, Decimal("300.00"))
        ]
        assert why.pool.rounded_total == Decimal("420.00")
        assert not Share.objects.exclude(institution=cast.other_university).exists()


def test_a_period_is_summed_up_for_the_closing_table(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        issued(drafted(period, three_to_one(cast), at), at)
        closing.finish_closing(period, by=RUN, at=at)
        period.refresh_from_db()
        summary = queries.allocation_summary(period)
    assert summary.shares == {"cedar": Decimal("338.63"), "maple": Decimal("112.87")}
    assert sum(summary.shares.values()) == summary.total == Decimal("451.50")
    assert summary.rates == (Decimal("1.40"),)
