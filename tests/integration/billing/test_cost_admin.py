"""The staff pages of costs: rules on their bench, bills rehearsed and brought in, costs entered, policies adopted."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from billing.models import AllocationPolicy, BillImport, CloudAccount, CostAcceptance, MatchingRule, ProviderTotal
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import StaffSeat
from tests.cast import Cast
from tests.integration.billing.stories import MONTH, STORY_ROWS, bill_file, set_up, take_in
from tests.integration.members.browser import signed_in, text_of

RULES, BILLS, POLICIES = "matchingrule", "billimport", "allocationpolicy"


@pytest.fixture
def staff(cast: Cast, at: datetime) -> Client:
    with consortium_scope(Scope.JOB):
        set_up(cast, at)
    return signed_in(cast.staff)


def tool(model: str, name: str) -> str:
    return reverse(f"admin:billing_{model}_{name}")


def act(model: str, row: object, name: str) -> str:
    return reverse(f"admin:billing_{model}_act", args=[getattr(row, "pk", None), name])


def upload(path: Path) -> SimpleUploadedFile:
    return SimpleUploadedFile(path.name, path.read_bytes(), content_type="text/csv")


def test_the_bench_says_where_a_row_would_go_and_why(cast: Cast, staff: Client) -> None:
    words = {"issuer": str(cast.issuer.pk), "charge_category": "Usage", "tags": '{"university": "maple"}'}
    html = text_of(staff.get(tool(RULES, "bench"), words))
    assert "This row would go there, because" in html
    assert "Maple University" in html
    assert "Rule 1 (tagged): the tag university is &#x27;maple&#x27;" in html
    html = text_of(staff.get(tool(RULES, "bench"), words | {"tags": ""}))
    assert "Rule 2 (the rest): it takes every row that is left." in html
    html = text_of(staff.get(tool(RULES, "bench"), words | {"charge_category": "Tax"}))
    assert "never enters a usage pool" in html
    broken = staff.get(tool(RULES, "bench"), words | {"tags": "[1]"})
    assert broken.status_code == 422
    assert "is no JSON object of tags" in broken.content.decode()


def test_a_rule_is_tried_then_kept_then_moved_then_retired(
    cast: Cast, staff: Client, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        rest = MatchingRule.objects.get(name="the rest")
        take_in(bill_file(tmp_path, ("5.00", ""), ("1.00", '{"university": "cedar"}')), cast, at)
    staff.post(act(RULES, rest, "retire"))
    rule = {
        "issuer": cast.issuer.pk, "name": "machines", "by": "service", "pattern": "Virtual*", "kind": "pool",
        "key": "machines",
    }  # fmt: skip
    tried = text_of(staff.post(tool(RULES, "write"), rule))
    assert "5.00 USD" in tried
    assert "Rule 2 (machines)" in tried
    with consortium_scope(Scope.JOB):
        assert not MatchingRule.objects.filter(name="machines").exists()
    assert staff.post(tool(RULES, "write"), rule | {"keep": "on"}).status_code == 302
    with consortium_scope(Scope.JOB):
        kept = MatchingRule.objects.get(name="machines")
    assert staff.post(act(RULES, kept, "move"), {"to": "1"}).status_code == 302
    with consortium_scope(Scope.JOB):
        live = MatchingRule.objects.filter(retired_at=None).order_by("position")
        assert list(live.values_list("name", flat=True)) == ["machines", "tagged"]
    wrong = staff.post(tool(RULES, "write"), rule | {"key": "Our Machines"})
    assert wrong.status_code == 422
    assert "lower-case" in wrong.content.decode()


def test_a_bill_is_rehearsed_brought_in_and_refused_with_its_lines(cast: Cast, staff: Client, tmp_path: Path) -> None:
    words = {"issuer": cast.issuer.pk, "account": "demo-cloud", "create_account": "on", "month": ""}
    path = bill_file(tmp_path, *STORY_ROWS)
    html = text_of(staff.post(tool(BILLS, "bring"), words | {"rehearse": "on", "file": upload(path)}))
    assert "100.00500000000 USD" in html
    with consortium_scope(Scope.JOB):
        assert not CloudAccount.objects.exists()
    assert staff.post(tool(BILLS, "bring"), words | {"file": upload(path)}).status_code == 302
    with consortium_scope(Scope.JOB):
        assert BillImport.objects.get().charged_month == MONTH
    broken = staff.post(tool(BILLS, "bring"), words | {"file": upload(bill_file(tmp_path, ("x", ""), name="b.csv"))})
    assert broken.status_code == 422
    assert "BilledCost" in text_of(broken)


def test_what_is_unattributed_is_accepted_with_its_total_typed(
    cast: Cast, staff: Client, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(bill_file(tmp_path, ("1.25", '{"university": "atlantis"}')), cast, at)
    page = act(BILLS, bill, "accept")
    assert "1.25 USD" in text_of(staff.get(page))
    wrong = staff.post(page, {"total": "1.20", "reason": "lost"})
    assert (wrong.status_code, "1.25 USD" in wrong.content.decode()) == (422, True)
    assert staff.post(page, {"total": "1.25", "reason": "lost"}).status_code == 302
    with consortium_scope(Scope.JOB):
        assert CostAcceptance.objects.get().accepted_by == cast.staff


def test_the_provider_s_total_is_stated_on_the_bill(cast: Cast, staff: Client, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
    assert staff.post(act(BILLS, bill, "state"), {"total": "400.00", "reference": "A-1"}).status_code == 302
    with consortium_scope(Scope.JOB):
        assert ProviderTotal.objects.get().total == Decimal("400.00")
    assert "A-1" in text_of(staff.get(act(BILLS, bill, "state")))


def test_a_cost_is_entered_with_its_evidence(cast: Cast, staff: Client) -> None:
    words = {
        "issuer": cast.issuer.pk, "name": "Support staff", "month": MONTH, "charged_month": MONTH, "amount": "1000.00",
        "currency": "CAD", "kind": "pool", "key": "support", "note": "Payroll of September",
    }  # fmt: skip
    page = tool(BILLS, "enter")
    missing = staff.post(page, words)
    assert (missing.status_code, "This field is required" in missing.content.decode()) == (422, True)
    evidence = SimpleUploadedFile("payroll.pdf", b"%PDF-1.7", content_type="application/pdf")
    assert staff.post(page, words | {"evidence": evidence}).status_code == 302
    with consortium_scope(Scope.JOB):
        assert BillImport.objects.get().kind == "manual"


def test_a_policy_is_adopted_with_the_members_decision(cast: Cast, staff: Client) -> None:
    words = {
        "issuer": cast.issuer.pk, "pool_key": "shared", "method": "fixed", "basis": "", "month": MONTH,
        "parameters": '{"percentages": {"cedar": "60", "maple": "40"}}', "decision": "Meeting of 3 September",
    }  # fmt: skip
    wrong = staff.post(tool(POLICIES, "adopt"), words | {"parameters": '{"percentages": {"cedar": "60"}}'})
    assert (wrong.status_code, "exactly 100" in wrong.content.decode()) == (422, True)
    assert staff.post(tool(POLICIES, "adopt"), words).status_code == 302
    with consortium_scope(Scope.JOB):
        assert AllocationPolicy.objects.get().decision == "Meeting of 3 September"


@pytest.mark.parametrize("model", [RULES, BILLS, POLICIES, "providertotal", "commitment", "cloudaccount"])
def test_each_list_opens_and_offers_its_tools_to_finance_staff_alone(
    model: str, cast: Cast, staff: Client, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
    page = reverse(f"admin:billing_{model}_changelist")
    assert ("/tools/" in text_of(staff.get(page))) == (model in {RULES, BILLS, POLICIES})
    StaffSeat.objects.filter(user=cast.staff).exclude(role="auditor").delete()
    assert "/tools/" not in text_of(staff.get(page))
    for each, name in ((RULES, "bench"), (RULES, "write"), (BILLS, "bring"), (BILLS, "enter"), (POLICIES, "adopt")):
        assert staff.get(tool(each, name)).status_code == 403
