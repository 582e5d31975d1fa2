"""Domains: proven by a record in a real DNS, lost after a grace when it is gone, one institution's at a time."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from consortium.embedded.dns_server import DnsServer, publish
from consortium.kernel import jobs
from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.demo.domains import tell_domains
from consortium.models import AuditEvent, Job, OutgoingMail
from members import domain_jobs
from members.domains import (
    CHECKER,
    GRACE,
    RECHECK_AFTER,
    DomainListed,
    DomainTaken,
    add_domain,
    check_domain,
    plain_name,
    recheck_due,
    record_name,
    record_value,
    remove_domain,
    verified_domains,
)
from members.gateways.dns import DnsError
from members.gateways.dns.lookup import Resolver
from members.models import Domain, Institution
from tests.cast import Cast
from tests.unit.members.story import deliver

pytestmark = pytest.mark.usefixtures("scope")
NAME = "cedar.example"


class Zone:
    """The zone of the test's DNS: what it publishes can be changed at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, list[str]] = {}

    def say(self, name: str, *values: str) -> None:
        self.records[name] = list(values)
        publish(self.path, self.records)

    def prove(self, *domains: Domain) -> None:
        for domain in domains:
            self.say(record_name(domain), record_value(domain))

    def forget(self) -> None:
        self.records.clear()
        publish(self.path, self.records)


@pytest.fixture
def zone(tmp_path: Path, settings: object) -> Iterator[Zone]:
    path = tmp_path / "zone"
    with DnsServer(path) as server:
        settings.DNS_RESOLVER = server.address  # type: ignore[attr-defined]
        yield Zone(path)


def domain_of(institution: Institution, cast: Cast, at: datetime, name: str = NAME) -> Domain:
    by = cast.outsider if institution == cast.other_university else cast.technical
    return add_domain(institution=institution, name=name, by=by, at=at)


def test_a_domain_is_verified_once_its_record_says_so(cast: Cast, zone: Zone, at: datetime) -> None:
    domain = domain_of(cast.university, cast, at)
    check_domain(domain, by=cast.technical, at=at)
    assert (domain.status, domain.problem, domain.found) == ("pending", "no_name", [])
    zone.say(record_name(domain), "portal-verification=wrong", "v=spf1 -all")
    check_domain(domain, by=cast.technical, at=at)
    assert (domain.status, domain.problem) == ("pending", "other_value")
    assert domain.found == ["portal-verification=wrong", "v=spf1 -all"]
    zone.prove(domain)
    check_domain(domain, by=cast.technical, at=at)
    assert Domain.objects.get().status == "verified"
    assert verified_domains(cast.university.pk) == {NAME}
    assert verified_domains(cast.other_university.pk) == frozenset()


def test_the_record_may_stand_behind_a_cname_and_be_cut_into_strings(cast: Cast, zone: Zone, at: datetime) -> None:
    domain = domain_of(cast.university, cast, at)
    value = record_value(domain)
    zone.path.write_text(
        f'{record_name(domain)}. 1 IN CNAME txt.dns.example.\ntxt.dns.example. 1 IN TXT "{value[:9]}" "{value[9:]}"\n'
    )
    check_domain(domain, by=cast.owner, at=at)
    assert domain.status == "verified"


def test_a_long_answer_comes_over_tcp(zone: Zone) -> None:
    zone.say("long.example", *(f"{number:03}" + "x" * 400 for number in range(20)))
    answer = Resolver(server=("127.0.0.1", port_of(zone))).txt("long.example")
    assert len(answer.records) == 20
    assert all(len(record) == 403 for record in answer.records)


def port_of(_zone: Zone) -> int:
    from django.conf import settings  # noqa: PLC0415 - the fixture has set it by now

    return int(settings.DNS_RESOLVER.rpartition(":")[2])


def test_a_name_above_records_exists_without_any(zone: Zone) -> None:
    zone.say("deep.name.example", "x")
    answer = Resolver(server=("127.0.0.1", port_of(zone))).txt("name.example")
    assert (answer.records, answer.name_exists) == ((), True)


def test_a_dns_that_is_silent_proves_nothing(cast: Cast, zone: Zone, at: datetime) -> None:
    domain = domain_of(cast.university, cast, at)
    zone.prove(domain)
    check_domain(domain, by=cast.owner, at=at)
    silent = Resolver(server=("127.0.0.1", 9), seconds=0.3)
    with pytest.raises(DnsError) as refused:
        check_domain(domain, by=cast.owner, at=at + GRACE, dns=silent)
    assert not refused.value.permanent
    domain.refresh_from_db()
    assert (domain.status, domain.problem, domain.missing_since) == ("verified", "no_answer", None)


def test_a_missing_record_warns_the_owners_and_loses_the_domain_after_the_grace(
    cast: Cast, zone: Zone, at: datetime
) -> None:
    domain = domain_of(cast.university, cast, at)
    zone.prove(domain)
    check_domain(domain, by=cast.owner, at=at)
    zone.forget()
    for moment in (at, at + timedelta(days=1), at + GRACE - timedelta(seconds=1)):
        check_domain(domain, by=CHECKER, at=moment)
        assert domain.status == "verified"
    check_domain(domain, by=CHECKER, at=at + GRACE)
    assert Domain.objects.get().status == "lost"
    deliver(at + GRACE)
    mails = list(OutgoingMail.objects.order_by("id").values_list("recipient", "template"))
    assert mails == [
        (cast.owner.email, "members_domain_missing"),
        (cast.owner.email, "members_domain_lost"),
    ]
    assert record_value(domain) in OutgoingMail.objects.earliest("id").body
    zone.prove(domain)
    check_domain(domain, by=cast.owner, at=at + GRACE)
    assert Domain.objects.get().status == "verified"


def test_a_record_that_comes_back_within_the_grace_forgets_the_gap(cast: Cast, zone: Zone, at: datetime) -> None:
    domain = domain_of(cast.university, cast, at)
    zone.prove(domain)
    check_domain(domain, by=cast.owner, at=at)
    zone.forget()
    check_domain(domain, by=CHECKER, at=at)
    zone.prove(domain)
    check_domain(domain, by=CHECKER, at=at + timedelta(days=6))
    zone.forget()
    check_domain(domain, by=CHECKER, at=at + timedelta(days=12))
    assert Domain.objects.get().status == "verified"


def test_two_institutions_cannot_both_prove_one_domain(cast: Cast, zone: Zone, at: datetime) -> None:
    ours, theirs = domain_of(cast.university, cast, at), domain_of(cast.other_university, cast, at)
    zone.say(record_name(ours), record_value(ours), record_value(theirs))
    check_domain(ours, by=cast.owner, at=at)
    with pytest.raises(DomainTaken):
        check_domain(theirs, by=cast.outsider, at=at)
    assert Domain.objects.get(pk=theirs.pk).status == "pending"
    remove_domain(ours, by=cast.owner, at=at)
    theirs.refresh_from_db()
    check_domain(theirs, by=cast.outsider, at=at)
    assert verified_domains(cast.other_university.pk) == {NAME}


def test_postgresql_refuses_what_the_code_would_not_write(cast: Cast, at: datetime) -> None:
    values = {"institution": cast.university, "name": NAME, "created_at": at}
    Domain.objects.create(token="a", **values)
    wrong: list[dict[str, object]] = [
        {"token": "b"},
        {"token": "c", "name": "Upper.example"},
        {"token": "d", "name": "nodots"},
        {"token": "e", "name": "other.example", "status": "verified"},
    ]
    for change in wrong:
        with pytest.raises(IntegrityError), transaction.atomic():
            Domain.objects.create(**{**values, **change})
    Domain.objects.filter(token="a").update(status="verified", verified_at=at)
    for move in ("pending", "nonsense"):
        with pytest.raises(IntegrityError), transaction.atomic():
            Domain.objects.filter(token="a").update(status=move)
    twin = Domain.objects.create(token="f", **{**values, "institution": cast.other_university})
    with pytest.raises(IntegrityError, match="domain_verified_once"), transaction.atomic():
        Domain.objects.filter(pk=twin.pk).update(status="verified", verified_at=at)


def test_domains_belong_to_their_institution_alone(cast: Cast, at: datetime) -> None:
    domain_of(cast.university, cast, at)
    from consortium.kernel.tenancy import institution_scope  # noqa: PLC0415 - the only test that narrows

    with institution_scope(cast.other_university.pk):
        assert not Domain.objects.exists()


@pytest.mark.parametrize("name", ["finance", "viewer", "outsider", "stranger", "staff"])
def test_only_owners_and_technical_people_touch_domains(cast: Cast, at: datetime, name: str) -> None:
    domain = domain_of(cast.university, cast, at)
    person = cast.person(name)
    with pytest.raises(Forbidden):
        add_domain(institution=cast.university, name="other.example", by=person, at=at)
    with pytest.raises(Forbidden):
        check_domain(domain, by=person, at=at)
    with pytest.raises(Forbidden):
        remove_domain(domain, by=person, at=at)


def test_a_domain_is_listed_once_and_a_removed_one_may_come_again(cast: Cast, at: datetime) -> None:
    domain = domain_of(cast.university, cast, at)
    with pytest.raises(DomainListed):
        domain_of(cast.university, cast, at, "CEDAR.example.")
    remove_domain(domain, by=cast.owner, at=at)
    again = domain_of(cast.university, cast, at)
    assert again.token != domain.token
    with pytest.raises(TransitionRefused):
        remove_domain(domain, by=cast.owner, at=at)


@pytest.mark.parametrize(
    "text", ["", "x", "https://a.example", "a@b.example", "a..b", "-a.example", "a_b.example", "*.x.ca"]
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        plain_name(text)


def test_an_accented_domain_is_kept_as_the_dns_knows_it() -> None:
    assert plain_name(" École.Example. ") == "xn--cole-9oa.example"


@given(st.text(max_size=260))
def test_a_name_is_plain_or_refused_and_plain_names_stay(text: str) -> None:
    try:
        plain = plain_name(text)
    except Invalid:
        return
    assert plain_name(plain) == plain
    assert plain.isascii()
    assert len(plain) <= 200


def test_verified_domains_are_looked_at_again_by_jobs(cast: Cast, zone: Zone, at: datetime) -> None:
    domain, waiting = domain_of(cast.university, cast, at), domain_of(cast.university, cast, at, "other.example")
    zone.prove(domain)
    check_domain(domain, by=cast.owner, at=at)
    assert recheck_due(at=at + timedelta(hours=1)) == 0
    assert recheck_due(at=at + RECHECK_AFTER) == 1
    assert recheck_due(at=at + RECHECK_AFTER) == 1  # the same job, not a second one
    job = Job.objects.get(kind="recheck_domain")
    zone.forget()
    run = jobs.Run(job, job.pk)
    assert domain_jobs.recheck_domain(run) == {"status": "verified"}
    domain.refresh_from_db()
    assert domain.missing_since is not None
    assert waiting.status == "pending"
    with consortium_scope(Scope.JOB):
        assert AuditEvent.objects.filter(action="members.domain_missing", actor_kind="domain checker").count() == 1


def test_the_demonstration_proves_its_domain_once(cast: Cast, tmp_path: Path, settings: Any) -> None:
    with DnsServer(tmp_path / "dns" / "zone") as server:
        settings.DNS_RESOLVER = server.address
        for _run in range(2):
            domain = tell_domains(institution=cast.university, by=cast.technical, home=tmp_path)
            assert domain.status == "verified"
    assert Domain.objects.count() == 1
