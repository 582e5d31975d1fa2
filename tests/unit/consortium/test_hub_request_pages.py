"""Requesting a hub: the live estimate to the cent, every reason against it, a page to check, who must approve."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from http import HTTPStatus

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import IntegrityError, transaction
from django.test import Client

from billing.budgets import set_budget
from consortium.kernel import outbox
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import Delivery, OutgoingMail
from members.models import User
from provisioning.models import Cluster, Hub, HubDay, HubDayUser, SpendingApproval
from provisioning.requests import SpendingUndecided, approve_hub
from tests.cast import Cast
from tests.unit.billing.issued import make_invoice
from tests.unit.members import story
from tests.unit.provisioning.service_stories import promised_hub

HERE = "/en/i/cedar/hubs/request/"
HUB = "/en/i/cedar/hubs/cedar-geology/"
NOW = datetime(2026, 11, 5, 20, 0, tzinfo=UTC)
FORM = {
    "name": "Geology", "purpose": "Field data", "environment": "standard", "memory": str(1024**3),
    "max_servers": "10", "expected_users": "40", "accounts": "ada\nbob",
}  # fmt: skip


@pytest.fixture(autouse=True)
def place(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def hub(cast: Cast) -> Hub:
    """Cedar's first hub of two, under an agreement of 10.00 for each of ten users and 2.50 for each further one."""
    return promised_hub(cast, at=datetime(2026, 10, 2, 7, 0, tzinfo=UTC))


@pytest.fixture
def october(cast: Cast, hub: Hub) -> None:
    """Eight people for five hours each and 1,000 GiB-hours; September's invoice passed 213.48 on, for the same use."""
    make_invoice(cast)
    with consortium_scope(Scope.JOB):
        for day in (date(2026, 9, 15), date(2026, 10, 15)):
            HubDay.objects.create(
                institution=cast.university, hub=hub, day=day, zone=hub.zone, server_seconds=144_000,
                memory_gib_seconds=3_600_000, active_users=8, sessions=8, rolled_at=NOW,
            )  # fmt: skip
            HubDayUser.objects.bulk_create(
                HubDayUser(institution=cast.university, hub=hub, day=day, pseudonym=f"{number:032x}")
                for number in range(8)
            )


def browser(user: User) -> Client:
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    client = Client(headers={"host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def preview(client: Client, path: str = HERE, **typed: str) -> str:
    answer = client.post(f"{path}preview/", typed, headers={"HX-Request": "true"})
    assert answer.status_code == HTTPStatus.OK, "what is half typed is no error"
    assert "<html" not in answer.text
    return answer.text


def budget_of(cast: Cast, amount: str) -> None:
    with institution_scope(cast.university.pk):
        set_budget(
            cast.university, amount=Decimal(amount), currency="CAD", month=Month(2026, 11), by=cast.finance, at=NOW
        )


def status() -> str:
    with consortium_scope(Scope.STAFF):
        return Hub.objects.get(slug="cedar-geology").status


def receivers() -> set[str]:
    """Who is told of what happened to the hub that is asked for."""
    with consortium_scope(Scope.STAFF):
        hub = Hub.objects.get(slug="cedar-geology")
        return set(Delivery.objects.filter(event__object_id=str(hub.pk)).values_list("receiver", flat=True))


def test_the_estimate_follows_the_form_to_the_cent_and_says_its_basis(cast: Cast, october: None) -> None:
    technical = browser(cast.technical)
    # Users 9 and 10 at 10.00, 38 at 2.50: 115.00. Cloud: 40 × 5 h × 0.5 GiB × 0.21348 = 21.348.
    text = preview(technical, **FORM)
    for words in (
        "About 136.35\N{NO-BREAK SPACE}CAD a month",
        "40 people at the prices in your agreement, above the 8 of October 2026.",
        "5.0 hours a person with 0.50 GiB guaranteed, at $0.2135 for a GiB-hour: as your hubs were in September 2026.",
        "$115.00",
        "$21.35",
        "$779.20",  # 10 servers × 730 h × 0.5 GiB × 0.21348
    ):
        assert words in text
    # Twice the memory: twice the cloud cost, and no other figure moves.
    assert "$42.70" in preview(technical, **FORM | {"memory": str(2 * 1024**3)})
    french = preview(technical, HERE.replace("/en/", "/fr/"), **FORM)
    assert "Ce que cela coûterait" in french
    assert "136,35" in french


def test_what_is_half_typed_is_taken_as_it_began(cast: Cast, october: None) -> None:
    technical = browser(cast.technical)
    typed = FORM | {"expected_users": "", "max_servers": "-3", "memory": "nonsense"}
    assert "100 people at the prices" in preview(technical, **typed)
    assert technical.post(f"{HERE}preview/", FORM).headers["Location"] == HERE
    assert technical.get(f"{HERE}preview/").status_code == HTTPStatus.METHOD_NOT_ALLOWED


def test_without_an_invoiced_month_the_cloud_part_is_not_made_up(cast: Cast, hub: Hub) -> None:
    text = browser(cast.technical).get(HERE).text
    assert "not known yet" in text
    assert "At cost; no month has been invoiced to reckon from." in text
    assert "before tax, without cloud cost" in text


def test_everything_that_is_not_covered_is_said_at_once_and_nothing_typed_is_lost(cast: Cast, hub: Hub) -> None:
    with consortium_scope(Scope.STAFF):
        Hub.objects.create(
            institution=cast.university, cluster=Cluster.objects.get(), slug="cedar-two", name="Two",
            agreement_id=hub.agreement_id, zone=hub.zone, requested_at=NOW,
        )  # fmt: skip
    technical, typed = browser(cast.technical), FORM | {"max_servers": "101"}
    text = preview(technical, **typed)
    for words in ("Your agreement covers 2 hubs and you have 2.", "Your agreement allows 100 servers at once"):
        assert words in text
    answer = technical.post(HERE, typed | {"step": "review"})
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    for words in ("Your agreement covers 2 hubs", "Your agreement allows 100 servers", "Field data", "ada\nbob"):
        assert words in answer.text


def test_a_request_is_checked_then_changed_or_sent_and_keeps_its_estimate(cast: Cast, october: None) -> None:
    technical = browser(cast.technical)
    review = technical.post(HERE, FORM | {"step": "review"})
    assert review.status_code == HTTPStatus.OK
    for words in ("Check your request", "Nothing is sent yet.", "Standard (JupyterLab)", "1 GiB", "ada, bob", "136.35"):
        assert words in review.text
    with consortium_scope(Scope.STAFF):
        assert not Hub.objects.filter(slug="cedar-geology").exists()
    again = technical.post(HERE, FORM | {"step": "edit", "name": "Geology 2"})
    assert (again.status_code, 'value="Geology 2"' in again.text) == (HTTPStatus.OK, True)
    assert technical.post(HERE, FORM | {"step": "send"}).headers["Location"] == HUB
    page = technical.get(HUB).text
    assert "Waiting for approval" in page
    assert "$136.35" in page
    with consortium_scope(Scope.STAFF):
        made = Hub.objects.get(slug="cedar-geology").revisions.get()
    assert made.estimate == {
        "amount": "136.35", "currency": "CAD",
        "basis": {
            "users_before": 8, "users_expected": 40, "month": "2026-09", "per_gib_hour": "0.213480",
            "hours_each": "5.00", "of_members": 1,
        },
    }  # fmt: skip


def test_beyond_the_budget_finance_decides_before_the_operators(cast: Cast, october: None) -> None:
    # September's invoice of 2,255.15 is what a month comes to without the hub.
    budget_of(cast, "2300.00")
    technical, finance = browser(cast.technical), browser(cast.finance)
    form = preview(technical, **FORM)
    assert "Your owners or finance people: with this hub a month would go beyond your budget." in form
    assert "2,300.00" not in form, "who asks for hubs need not see costs"
    technical.post(HERE, FORM | {"step": "send"})
    assert "provisioning.mail_hub_requested" not in receivers()
    with consortium_scope(Scope.STAFF):
        hub, asked = Hub.objects.get(slug="cedar-geology"), SpendingApproval.objects.get()
        assert (asked.expected, asked.estimate, asked.budget) == (
            Decimal("2255.15"), Decimal("136.35"), Decimal("2300.00"),
        )  # fmt: skip
        with pytest.raises(SpendingUndecided, match="own budget"):
            approve_hub(hub, by=cast.staff, at=NOW)
        with pytest.raises(IntegrityError, match="beyond the budget"), transaction.atomic():
            Hub.objects.filter(pk=hub.pk).update(status="approved")
    assert "were asked by mail" in technical.get(HUB).text
    assert technical.post(f"{HUB}spending/", {"decision": "approve"}).status_code == HTTPStatus.FORBIDDEN
    assert "$2,300.00" in finance.get(HUB).text
    assert finance.post(f"{HUB}spending/", {"decision": "approve"}).headers["Location"] == HUB
    assert "provisioning.mail_hub_requested" in receivers()
    with consortium_scope(Scope.STAFF):
        approve_hub(hub, by=cast.staff, at=NOW)
        with pytest.raises(IntegrityError, match="frozen"), transaction.atomic():
            SpendingApproval.objects.update(estimate=1)
    assert status() == "approved"
    mails(cast.finance, "provisioning_spending_asked", "136.35")


def mails(person: User, template: str, *words: str) -> None:
    while outbox.deliver_due(at=NOW):
        pass
    with consortium_scope(Scope.STAFF):
        mail = OutgoingMail.objects.get(template=template, recipient=person.email)
    for each in words:
        assert each in mail.body


def test_a_refusal_needs_its_reason_which_whoever_asked_reads(cast: Cast, october: None) -> None:
    budget_of(cast, "2300.00")
    technical, owner = browser(cast.technical), browser(cast.owner)
    technical.post(HERE, FORM | {"step": "send"})
    assert "Say why" in owner.post(f"{HUB}spending/", {"decision": "decline", "note": " "}, follow=True).text
    assert status() == "requested"
    owner.post(f"{HUB}spending/", {"decision": "decline", "note": "Not this year."})
    assert status() == "declined"
    assert "Not this year." in technical.get(HUB).text
    mails(cast.technical, "provisioning_hub_declined", "Not this year.")
    assert "TransitionRefused" not in owner.post(f"{HUB}spending/", {"decision": "approve"}, follow=True).text
    assert status() == "declined"


def test_within_the_budget_nobody_is_asked_about_it(cast: Cast, october: None) -> None:
    budget_of(cast, "2391.50")  # to the cent: 2,255.15 + 136.35
    browser(cast.technical).post(HERE, FORM | {"step": "send"})
    assert receivers() >= {"provisioning.mail_hub_requested"}
    with consortium_scope(Scope.STAFF):
        assert not SpendingApproval.objects.exists()


@pytest.mark.parametrize("beyond", [False, True])
def test_an_agreement_that_asks_for_nobody_lets_the_hub_be_set_up_at_once(
    cast: Cast, at: datetime, beyond: bool
) -> None:
    trusting(cast, at)
    if beyond:
        budget_of(cast, "1.00")
    technical = browser(cast.technical)
    assert ("set up at once" in preview(technical, **FORM)) is not beyond
    technical.post(HERE, FORM | {"step": "send"})
    assert status() == ("requested" if beyond else "approved")
    if beyond:
        browser(cast.owner).post(f"{HUB}spending/", {"decision": "approve"})
        assert status() == "approved"
    assert "provisioning.mail_hub_requested" not in receivers()


def trusting(cast: Cast, at: datetime) -> None:
    """Cedar's agreement lets it set hubs up by itself."""
    promised_hub(cast, at=at, terms=story.TERMS.model_copy(update={"hub_approval": "none"}))
