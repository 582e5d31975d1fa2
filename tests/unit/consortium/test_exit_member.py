"""Leaving as one story: notice, last day, hubs, last bill, dues given back, money both ways, bundle, deletion."""

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import DatabaseError, transaction

from billing import ledger
from billing.chart_of_accounts import Account
from billing.final_bill import credit_unearned, unearned_dues
from billing.models import BillingPeriod, CreditNote
from consortium.kernel import jobs, outbox
from consortium.kernel.crash import SimulatedCrash, arm, disarm
from consortium.kernel.documents import DocumentGone, read, store
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import Document, Job, OutgoingMail
from consortium.usecases.exit_bundle import bundle_of, certificates_of
from consortium.usecases.exit_member import advance_exits, checklist
from members import agreements
from members.agreements import lifecycle
from members.models import Agreement, MemberExit, Membership
from provisioning.leaving.snapshots import RELEASE
from provisioning.lifecycle import RETIRE
from provisioning.models import Hub
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.agreed import agreed
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.test_reminding import pay
from tests.unit.provisioning.stories import running_hub

START = datetime(2026, 10, 15, 16, tzinfo=UTC)
LAST_DAY = date(2027, 1, 31)
TOTAL = Decimal("2367.90")


@pytest.fixture(autouse=True)
def plain(settings: Any) -> Iterator[None]:
    """Without TLS, and nothing armed in the end."""
    settings.SECURE_SSL_REDIRECT = False
    yield
    disarm()


@pytest.fixture
def agreement(cast: Cast) -> Agreement:
    return agreed(cast, at=START)


@pytest.fixture
def hub(cast: Cast, agreement: Agreement) -> Hub:
    return running_hub(cast, at=START)


def on(day: date) -> datetime:
    """Midday in Vancouver."""
    return datetime(day.year, day.month, day.day, 20, tzinfo=UTC)


def later(days: int) -> datetime:
    return on(LAST_DAY + timedelta(days=days))


def run(at: datetime) -> None:
    lifecycle.run_due(at=at)
    advance_exits(at=at)
    outbox.deliver_due(at=at)


def notice(cast: Cast, agreement: Agreement) -> None:
    with institution_scope(cast.university.pk):
        agreements.give_notice(agreement, side="member", last_day=LAST_DAY, reason="We leave.", by=cast.owner, at=START)


def status() -> str:
    with consortium_scope(Scope.COMMAND):
        return MemberExit.objects.get().status


def waits() -> list[str]:
    with consortium_scope(Scope.COMMAND):
        return [item.what for item in checklist(MemberExit.objects.get()) if not item.done]


def close_months(cast: Cast) -> None:
    with consortium_scope(Scope.COMMAND):
        for month in ("2026-09", "2027-01"):
            period, _made = BillingPeriod.objects.get_or_create(issuer=cast.issuer, month=month)
            BillingPeriod.objects.filter(pk=period.pk).update(status="closing")
            BillingPeriod.objects.filter(pk=period.pk).update(status="closed", closed_at=later(2))


def retired(hub: Hub) -> Document:
    """The job has exported the hub and ended it."""
    with consortium_scope(Scope.COMMAND):
        kept = store(
            b"the homes", kind="homes", name="homes.tar.gz", media_type="application/gzip", subject=hub,
            institution_id=hub.institution_id, at=later(1),
        )  # fmt: skip
        Hub.objects.filter(pk=hub.pk).update(status="retired")
        return kept


def hold_credit(cast: Cast, amount: Decimal, source: Hub | Agreement) -> None:
    """Money that belongs to the member, or, below zero, its paying out."""
    with consortium_scope(Scope.COMMAND):
        ledger.post(
            issuer=cast.issuer, kind="payment", source=source, on=LAST_DAY, narration="Credit",
            legs=[ledger.Leg(Account.CLEARING, amount, "CAD"), ledger.Leg(Account.MEMBER_CREDIT, -amount, "CAD")],
            at=later(1), institution_id=cast.university.pk,
        )  # fmt: skip


def test_a_member_leaves_step_by_step_and_each_step_waits_for_what_it_needs(
    cast: Cast, agreement: Agreement, hub: Hub
) -> None:
    invoice = make_invoice(cast)
    run(START)
    with consortium_scope(Scope.COMMAND):
        assert MemberExit.objects.count() == 0
    owner = signed_in(cast.owner)
    assert "Nobody has given notice" in text_of(owner.get("/en/i/cedar/leaving/"))
    notice(cast, agreement)
    run(START)
    assert status() == "open"
    run(later(0))
    assert status() == "open", "the last day is not over"
    run(later(1))
    with consortium_scope(Scope.COMMAND):
        assert (status(), Hub.objects.get(pk=hub.pk).status) == ("closing", "retiring")
        assert Job.objects.filter(kind=RETIRE).count() == 1
    home = text_of(owner.get("/en/i/cedar/"))
    assert "Leaving: what happens" in home
    assert home.count("2,367.90") == 2, "what is due, and the rest of its invoice"
    export = retired(hub)
    run(later(2))
    assert status() == "closing", "the last month is not billed"
    close_months(cast)
    run(later(3))
    assert (status(), waits()[0]) == ("settling", "Every invoice is paid")
    pay(invoice, TOTAL)
    hold_credit(cast, Decimal("12.34"), hub)
    run(later(4))
    assert (status(), waits()[0]) == ("settling", "Credit is paid out")
    page = text_of(owner.get("/fr/i/cedar/leaving/"))
    assert "12,34\N{NO-BREAK SPACE}CAD" in page
    hold_credit(cast, Decimal("-12.34"), agreement)
    run(later(5))
    assert status() == "keeping"
    with consortium_scope(Scope.COMMAND):
        leaving = MemberExit.objects.get()
        bundle = bundle_of(leaving)
        assert bundle is not None
        with zipfile.ZipFile(io.BytesIO(read(bundle))) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            assert "usage.csv" in archive.namelist()
    assert [each["sha256"] for each in manifest["hub_exports"]] == [export.sha256]
    assert owner.get(f"/en/i/cedar/leaving/{bundle.pk}/").status_code == 200
    assert b"".join([owner.get(f"/en/i/cedar/leaving/{export.pk}/").content]) == b"the homes"
    assert signed_in(cast.outsider).get(f"/en/i/maple/leaving/{bundle.pk}/").status_code == 404
    run(on(leaving.delete_on - timedelta(days=1)))
    assert status() == "keeping"
    with consortium_scope(Scope.COMMAND):
        snapshots = jobs.enqueue(RELEASE, key="volumes", at=later(2), institution_id=cast.university.pk)
    run(on(leaving.delete_on))
    assert status() == "keeping", "a cluster keeps snapshots still"
    with consortium_scope(Scope.COMMAND):
        Job.objects.filter(pk=snapshots.pk).update(state="running")
        Job.objects.filter(pk=snapshots.pk).update(state="succeeded")
    run(on(leaving.delete_on))
    assert status() == "certified"
    with consortium_scope(Scope.COMMAND):
        assert [each.language for each in certificates_of(leaving)] == ["en", "fr"]
        assert not default_storage.exists(export.storage_key)
        with pytest.raises(DocumentGone):
            read(export)
        assert Membership.objects.get(institution=cast.university).status == "ended"
        with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
            MemberExit.objects.update(last_day=LAST_DAY + timedelta(days=1))
        steps = OutgoingMail.objects.filter(template="members_exit", recipient=cast.owner.email)
        assert steps.count() == 5
    done = text_of(owner.get("/en/i/cedar/leaving/"))
    assert "homes.tar.gz" not in done
    assert owner.get(f"/en/i/cedar/leaving/{export.pk}/").status_code == 404
    assert waits() == []


def test_notice_that_is_taken_back_ends_the_exit(cast: Cast, agreement: Agreement) -> None:
    notice(cast, agreement)
    run(START)
    with institution_scope(cast.university.pk):
        with pytest.raises(DatabaseError, match="may not become"), transaction.atomic():
            MemberExit.objects.update(status="keeping", closed_at=START, billed_at=START, settled_at=START)
        agreements.withdraw_notice(agreement, side="member", reason="We stay.", by=cast.owner, at=START)
    run(START + timedelta(days=1))
    assert status() == "withdrawn"
    other_day = LAST_DAY + timedelta(days=30)
    with institution_scope(cast.university.pk):
        agreements.give_notice(
            agreement, side="member", last_day=other_day, reason="After all.", by=cast.owner, at=START
        )
    run(START + timedelta(days=2))
    with consortium_scope(Scope.COMMAND):
        rows = MemberExit.objects.order_by("opened_at").values_list("status", "last_day")
        assert list(rows) == [("withdrawn", LAST_DAY), ("open", other_day)]


def test_an_agreement_that_nobody_renews_is_left_in_the_same_way(cast: Cast) -> None:
    agreed(cast, at=START, term_months=3)
    run(START)
    with consortium_scope(Scope.COMMAND):
        assert MemberExit.objects.count() == 0
    run(on(date(2027, 1, 15)))
    with consortium_scope(Scope.COMMAND):
        leaving = MemberExit.objects.get()
    assert (leaving.status, leaving.last_day) == ("closing", date(2027, 1, 14))


@pytest.mark.parametrize("point", ["exit.bundled", "exit.deleted", "exit.before_commit"])
def test_a_run_that_dies_is_gone_on_with(cast: Cast, agreement: Agreement, point: str) -> None:
    notice(cast, agreement)
    run(START)
    close_months(cast)
    arm(point)
    died = 0
    for days in (1, 400):
        try:
            run(later(days))
        except SimulatedCrash:
            died += 1
    assert died > 0
    disarm()
    run(later(400))
    assert status() == "certified"
    with consortium_scope(Scope.COMMAND):
        assert Document.objects.filter(kind="exit_bundle").count() == 1
        assert Document.objects.filter(kind="deletion_certificate").count() == 2


def test_dues_for_days_after_the_last_one_are_taken_back_to_the_cent_by_a_person(
    cast: Cast, agreement: Agreement
) -> None:
    covers = {"covers": {"from": "2026-10-01", "until": "2027-10-01"}}
    invoice = make_invoice(cast, evidence={1: covers})
    notice(cast, agreement)
    run(START)
    where: Any = {"issuer_id": cast.issuer.pk, "last_day": LAST_DAY}
    with consortium_scope(Scope.COMMAND):
        [found] = unearned_dues(cast.university.pk, **where)
        # 1041.67 for 365 days; from 1 February to 30 September 2027 are 242 of them.
        assert (found.days, found.of, found.net) == (242, 365, Decimal("690.64"))
    close_months(cast)
    run(later(1))
    assert (status(), waits()[0]) == ("closing", "Dues for days after the last one are credited")
    staff = signed_in(cast.staff)
    with consortium_scope(Scope.COMMAND):
        key = MemberExit.objects.get().pk
    assert "Members who leave" in text_of(staff.get("/en/staff/"))
    page = f"/en/staff/members/memberexit/{key}/act/credit/"
    assert "690.64" in text_of(staff.get(page))
    assert staff.post(page, {"reason": ""}).status_code == 422
    assert staff.post(page, {"reason": "The agreement has ended."}).status_code == 302
    with consortium_scope(Scope.COMMAND):
        assert CreditNote.objects.get(invoice=invoice).net_total == Decimal("690.64")
        assert credit_unearned(cast.university.pk, **where, reason="Again.", by=cast.staff, at=later(1)) == []
    run(later(2))
    assert status() == "settling"
