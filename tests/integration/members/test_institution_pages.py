"""Pages of an institution: agreement, people, tokens, for whom they open and what they do."""

from collections.abc import Callable
from datetime import datetime

import pytest

from consortium.kernel import documents
from consortium.kernel.secrets import token_hash
from consortium.kernel.tenancy import Scope, consortium_scope
from members.agreements import content_sha256
from members.models import Agreement, ApiToken, Institution, Seat, Signature
from members.roles import Role
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.members.story import in_force, offered


@pytest.fixture
def to_sign(cast: Cast, birch: Institution, terms: object, at: datetime) -> Agreement:
    """An agreement that waits for `stranger`, the owner of birch."""
    with consortium_scope(Scope.COMMAND):
        return offered(birch, by=cast.stranger, staff=cast.staff, at=at)


def url_of(agreement: Agreement, language: str = "en") -> str:
    return f"/{language}/i/birch/agreements/{agreement.pk}/"


def test_either_text_can_be_read_on_either_page(cast: Cast, to_sign: Agreement) -> None:
    browser = signed_in(cast.stranger)
    for page in ("en", "fr"):
        english = text_of(browser.get(url_of(to_sign, page) + "?text=en"))
        french = text_of(browser.get(url_of(to_sign, page) + "?text=fr"))
        assert '<article lang="en">' in english
        assert "The consortium runs <strong>hubs</strong>" in english
        assert "6,000.00" in english
        assert '<article lang="fr">' in french
        assert "Le consortium exploite" in french
        assert "6\N{NO-BREAK SPACE}000,00" in french
    assert '<article lang="fr">' in text_of(browser.get(url_of(to_sign, "fr")))


def test_an_owner_signs_what_was_read_and_not_what_was_changed(cast: Cast, to_sign: Agreement) -> None:
    browser = signed_in(cast.stranger)
    form = {"name": "Alma", "title": "VP", "language": "fr", "seen": content_sha256(to_sign)}
    without = browser.post(url_of(to_sign), form)
    assert without.status_code == 422
    assert "Tick the box" in text_of(without)
    with consortium_scope(Scope.COMMAND):
        Agreement.objects.filter(pk=to_sign.pk).update(clauses_en="## 1. Other")
    changed = browser.post(url_of(to_sign), form | {"consent": "on"})
    assert "has changed since you opened" in text_of(changed)
    with consortium_scope(Scope.COMMAND):
        now_seen = content_sha256(Agreement.objects.get(pk=to_sign.pk))
    assert browser.post(url_of(to_sign), form | {"consent": "on", "seen": now_seen}).status_code == 302
    with consortium_scope(Scope.COMMAND):
        assert Signature.objects.get().language == "fr"
    assert "Countersigns after you" in text_of(browser.get(url_of(to_sign)))


def test_the_signed_documents_are_downloaded_as_they_were_stored(
    cast: Cast, birch: Institution, terms: object, at: datetime
) -> None:
    with consortium_scope(Scope.COMMAND):
        agreement = in_force(birch, by=cast.stranger, staff=cast.staff, at=at)
    browser = signed_in(cast.stranger)
    assert "being prepared" in text_of(browser.get(url_of(agreement)))
    assert browser.get(url_of(agreement) + "en.pdf").status_code == 404
    with consortium_scope(Scope.COMMAND):
        stored = documents.store(
            b"%PDF-1.7 test",
            kind="agreement",
            name="agreement.pdf",
            media_type="application/pdf",
            subject=agreement,
            institution_id=birch.pk,
            at=at,
            language="en",
        )
    download = browser.get(url_of(agreement) + "en.pdf")
    assert download.content == b"%PDF-1.7 test"
    assert download["Content-Type"] == "application/pdf"
    assert stored.sha256 in text_of(browser.get(url_of(agreement)))
    assert browser.get(url_of(agreement) + "xx.pdf").status_code == 404


PAGES: dict[str, dict[str, int]] = {
    "people/": {"owner": 200, "finance": 200, "technical": 200, "viewer": 403},
    "tokens/": {"owner": 200, "finance": 403, "technical": 200, "viewer": 403},
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", ["owner", "finance", "technical", "viewer", "outsider", "stranger", "staff"])
def test_a_page_opens_to_its_roles_and_does_not_exist_for_others(cast: Cast, page: str, name: str) -> None:
    answer = signed_in(cast.person(name)).get(f"/en/i/cedar/{page}")
    assert answer.status_code == PAGES[page].get(name, 404)


@pytest.mark.parametrize("name", ["owner", "outsider", "staff"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_another_universitys_agreement_does_not_exist(cast: Cast, to_sign: Agreement, name: str, method: str) -> None:
    browser = signed_in(cast.person(name))
    for slug in ("birch", "cedar", "maple", "nowhere"):
        url = f"/en/i/{slug}/agreements/{to_sign.pk}/"
        assert getattr(browser, method)(url).status_code == 404
        assert browser.get(f"{url}en.pdf").status_code == 404


def test_people_shows_roles_and_second_factors(cast: Cast) -> None:
    html = text_of(signed_in(cast.owner).get("/en/i/cedar/people/"))
    for name in ("owner", "finance", "technical", "viewer"):
        assert f"{name}@people.example" in html
    assert "outsider@people.example" not in html
    assert html.count("Needed, not set up") == 1  # finance; the owner has one


def test_the_last_owner_is_told_why_not(cast: Cast) -> None:
    with consortium_scope(Scope.COMMAND):
        seats = {seat.role: seat for seat in Seat.objects.filter(institution=cast.university)}
        foreign = Seat.objects.get(institution=cast.other_university)
    browser = signed_in(cast.owner)
    assert "loses the role" in text_of(browser.get(f"/en/i/cedar/people/{seats[Role.OWNER].pk}/end/"))
    last = browser.post(f"/en/i/cedar/people/{seats[Role.OWNER].pk}/end/")
    assert last.status_code == 409
    assert "last owner cannot leave" in text_of(last)
    assert browser.post(f"/en/i/cedar/people/{seats[Role.VIEWER].pk}/end/").status_code == 302
    assert browser.post(f"/en/i/cedar/people/{foreign.pk}/end/").status_code == 404
    with consortium_scope(Scope.COMMAND):
        assert set(Seat.objects.filter(ended_at=None).values_list("role", "user__email")) == {
            ("owner", "owner@people.example"),
            ("finance", "finance@people.example"),
            ("technical", "technical@people.example"),
            ("owner", "outsider@people.example"),
        }


def test_a_token_is_shown_once_stored_hashed_and_revoked(cast: Cast) -> None:
    browser, url = signed_in(cast.owner), "/en/i/cedar/tokens/"
    form = {"name": "Dashboard", "permissions": ["view_hubs", "view_usage"], "days": "30"}
    made = browser.post(url, form)
    assert made.status_code == 200
    assert "no-store" in made["Cache-Control"]
    html = text_of(made)
    secret = html.split("<code>icc_")[1].split("</code>")[0]
    with consortium_scope(Scope.COMMAND):
        token = ApiToken.objects.get()
    assert token.token_hash == token_hash(f"icc_{secret}")
    assert secret not in text_of(browser.get(url))
    assert browser.post(f"{url}{token.pk}/revoke/").status_code == 302
    assert "Revoked" in text_of(browser.get(url))
    outsider = signed_in(cast.outsider)
    assert outsider.post(f"/en/i/maple/tokens/{token.pk}/revoke/").status_code == 404


def test_a_token_cannot_have_more_than_its_maker(cast: Cast) -> None:
    form = {"name": "Too much", "permissions": ["view_invoices"], "days": "30"}
    answer = signed_in(cast.technical).post("/en/i/cedar/tokens/", form)
    assert answer.status_code == 422
    with consortium_scope(Scope.COMMAND):
        assert not ApiToken.objects.exists()


@pytest.mark.parametrize("language", ["en", "fr"])
def test_an_owner_without_a_second_factor_is_sent_to_set_it_up(cast: Cast, language: str) -> None:
    answer = signed_in(cast.owner, second_factor=False).get(f"/{language}/i/cedar/people/")
    assert answer.status_code == 302
    assert answer["Location"] == f"/{language}/accounts/mfa/"


def test_a_people_page_costs_the_same_for_many_people(
    cast: Cast, django_assert_max_num_queries: Callable[..., object], at: datetime
) -> None:
    browser = signed_in(cast.owner)
    with consortium_scope(Scope.COMMAND):
        Seat.objects.bulk_create(
            Seat(institution=cast.university, user=person, role=role, created_at=at)
            for person in (cast.stranger, cast.outsider, cast.staff)
            for role in Role.values
        )
    with django_assert_max_num_queries(30):  # type: ignore[attr-defined] # a context manager
        browser.get("/en/i/cedar/people/")
