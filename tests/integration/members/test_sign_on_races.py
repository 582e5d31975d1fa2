"""Twenty browsers at once: one assertion lets one in, one affiliation gives one seat, one domain has one owner."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from django.db import connection

from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.domains import _apply, record_value
from members.gateways.dns import TxtAnswer
from members.models import Domain, Seat
from members.sign_on.assertions import pick_up, put_down
from members.sign_on.claims import Claims
from members.sign_on.joining import follow_affiliation
from members.sign_on.saml import Answer
from tests.cast import Cast, make_cast
from tests.integration.members.identity_providers import SamlIdp
from tests.integration.members.sign_on_story import live_saml

MANY = 20


def raced(work: Callable[[], object]) -> list[object]:
    """What each of many threads got; those that were refused are left out."""

    def run(_number: int) -> object:
        try:
            with consortium_scope(Scope.SIGN_IN):
                return work()
        except PortalError:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(MANY) as pool:
        return [got for got in pool.map(run, range(MANY)) if got is not None]


def story(saml_idp: SamlIdp) -> tuple[Cast, datetime]:
    at = datetime.now(UTC)
    return make_cast(at), at


def test_of_twenty_uses_of_one_assertion_one_counts(committed_db: str, saml_idp: SamlIdp) -> None:
    cast, at = story(saml_idp)
    row = live_saml(cast, saml_idp, at)
    answer = Answer(Claims(issuer=row.issuer, subject="ana"), "_assertion", "_request")
    tickets = raced(lambda: put_down(row, answer, at=at))
    assert len(tickets) == 1
    assert len(raced(lambda: pick_up(str(tickets[0]), at=at))) == 1


def test_of_twenty_sign_ins_of_one_person_one_gives_the_seat(committed_db: str, saml_idp: SamlIdp) -> None:
    cast, at = story(saml_idp)
    row = live_saml(cast, saml_idp, at)
    staff = ("staff@cedar.example",)
    given = raced(lambda: follow_affiliation(row, user=cast.stranger, affiliations=staff, bound=True, at=at))
    assert len(given) == 1
    with consortium_scope(Scope.COMMAND):
        assert Seat.objects.filter(user=cast.stranger, ended_at=None).count() == 1


def test_of_two_institutions_that_prove_one_domain_one_has_it(committed_db: str, saml_idp: SamlIdp) -> None:
    cast, at = story(saml_idp)
    with consortium_scope(Scope.COMMAND):
        pair = [
            Domain.objects.create(institution=institution, name="x.example", token=institution.slug, created_at=at)
            for institution in (cast.university, cast.other_university)
        ]
    answer = TxtAnswer(tuple(record_value(domain) for domain in pair), name_exists=True)
    turns = iter(pair * MANY)
    raced(lambda: _apply(next(turns), answer, by=cast.staff, at=at))
    with consortium_scope(Scope.COMMAND):
        assert Domain.objects.filter(status="verified").count() == 1
