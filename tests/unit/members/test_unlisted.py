"""Universities that are not in the shipped list: unseen until a reviewer confirms them, and never twice."""

import threading
from datetime import datetime

import pytest
from django.db import IntegrityError, connection, transaction

from consortium.kernel.errors import Forbidden, Invalid, PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.directory import AlreadyListed, add_unlisted, confirm_institution
from members.models import Application, Institution, Membership, User
from members.onboarding import InstitutionUnconfirmed, approve_application, start_application
from members.queries import search_institutions
from tests.cast import Cast, make_cast, make_person
from tests.unit.members.story import FIRST_DAY, make_applicant_university, submitted

ALDER = {"name_en": "Alder College", "name_fr": "", "city": "Alderton", "province": "YT", "domain": "alder.example"}


def alder(by: User, at: datetime, **changes: str) -> Institution:
    return add_unlisted(**ALDER | changes, by=by, at=at)


@pytest.mark.usefixtures("scope")
def test_an_entry_is_found_by_nobody_until_it_is_confirmed(cast: Cast, at: datetime) -> None:
    institution = alder(cast.stranger, at)
    assert (institution.slug, institution.zone, institution.confirmed) == ("alder", "America/Whitehorse", False)
    assert search_institutions("alder") == []
    values = {"name_fr": "Collège Alder", "ror": ""}
    with pytest.raises(Forbidden):
        confirm_institution(institution, values=values, by=cast.stranger, at=at)
    confirm_institution(institution, values=values, by=cast.staff, at=at)
    assert [found.name_fr for found in search_institutions("alder")] == ["Collège Alder"]
    with pytest.raises(Invalid):
        confirm_institution(institution, values=values, by=cast.staff, at=at)


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize(("country", "zone"), [("FR", "Europe/Paris"), ("US", "UTC")])
def test_an_entry_abroad_has_the_zone_of_its_country_where_there_is_one(
    cast: Cast, at: datetime, country: str, zone: str
) -> None:
    institution = alder(cast.stranger, at, country=country, province="")
    assert (institution.country, institution.province, institution.zone) == (country, "", zone)


@pytest.mark.usefixtures("scope", "terms")
def test_it_cannot_join_before_it_is_confirmed(cast: Cast, at: datetime) -> None:
    institution = alder(cast.stranger, at)
    application = submitted(institution, by=cast.stranger, at=at)
    with pytest.raises(InstitutionUnconfirmed):
        approve_application(application, starts_on=FIRST_DAY, by=cast.staff, at=at)
    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.create(institution=institution, tier="small", fte=1)
    confirm_institution(institution, values={}, by=cast.staff, at=at)
    approve_application(application, starts_on=FIRST_DAY, by=cast.staff, at=at)
    with pytest.raises(IntegrityError), transaction.atomic():
        Institution.objects.filter(pk=institution.pk).update(confirmed=False)


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize("domain", ["cedar.example", "physics.cedar.example"])
def test_a_domain_that_the_directory_covers_leads_to_its_entry(cast: Cast, at: datetime, domain: str) -> None:
    with pytest.raises(AlreadyListed) as refused:
        alder(cast.stranger, at, domain=domain)
    assert refused.value.institution == cast.university


@pytest.mark.usefixtures("scope")
def test_a_confirmation_cannot_take_another_ones_domain(cast: Cast, at: datetime) -> None:
    institution = alder(cast.stranger, at)
    with pytest.raises(Invalid):
        confirm_institution(institution, values={"domain": "cedar.example"}, by=cast.staff, at=at)
    assert not Institution.objects.get(pk=institution.pk).confirmed


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("listed", [True, False])
def test_of_two_applicants_at_once_one_wins_and_the_other_is_told(at: datetime, listed: bool) -> None:
    """Both stand at the same barrier; PostgreSQL decides."""
    make_cast(at)
    people = [make_person("first"), make_person("second")]
    birch = make_applicant_university()
    barrier, outcomes = threading.Barrier(2), []

    def apply(person: User) -> None:
        try:
            with consortium_scope(Scope.APPLICANT):
                barrier.wait(10)
                institution = birch if listed else alder(person, at)
                start_application(institution=institution, by=person, at=at)
            outcomes.append("began")
        except PortalError as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=apply, args=[person]) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == sorted(["began", "already_applying" if listed else "already_listed"])
    with consortium_scope(Scope.COMMAND):
        assert Application.objects.count() == 1
