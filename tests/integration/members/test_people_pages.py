"""The people page and its acts: invite, send again, withdraw, change, confirm, hand over; one's own name."""

from datetime import datetime, timedelta

import pytest
from django.test import Client

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Invitation, OwnershipOffer, Seat, User
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.members.invited import confirmed, invited

URL = "/en/i/cedar/people/"
FORM = {"email": "new@cedar.example", "role": "viewer", "language": "fr"}


def seat_of(cast: Cast, name: str) -> Seat:
    with consortium_scope(Scope.COMMAND):
        return Seat.objects.get(user=cast.person(name), institution=cast.university, ended_at=None)


def test_an_owner_invites_by_address_and_sees_it_listed(cast: Cast) -> None:
    browser = signed_in(cast.owner)
    assert browser.post(URL, FORM).status_code == 302
    html = text_of(browser.get(URL))
    assert "new@cedar.example" in html
    again = browser.post(URL, FORM)
    assert again.status_code == 422
    assert "is invited already" in text_of(again)
    assert 'value="new@cedar.example"' in text_of(again)  # nothing typed is lost
    refused = signed_in(cast.technical).post(URL, FORM | {"email": "other@cedar.example", "role": "owner"})
    assert refused.status_code == 422
    assert "new@cedar.example" not in text_of(signed_in(cast.technical).get(URL))
    with consortium_scope(Scope.COMMAND):
        assert [row.email for row in Invitation.objects.all()] == ["new@cedar.example"]


@pytest.mark.parametrize(
    "change", [{"email": "no address"}, {"email": ""}, {"role": "emperor"}, {"role": ""}, {"language": "tlh"}]
)
def test_a_wrong_answer_is_named_and_nothing_typed_is_lost(cast: Cast, change: dict[str, str]) -> None:
    answer = signed_in(cast.owner).post(URL, FORM | change)
    assert answer.status_code == 422
    html = text_of(answer)
    assert 'class="error-summary"' in html
    assert "<title>Error:" in html
    kept = (FORM | change)["email"]
    assert f'value="{kept}"' in html or not kept


def test_an_expired_invitation_is_marked_sent_again_and_withdrawn(cast: Cast) -> None:
    row = invited(cast, now() - timedelta(days=8), email="late@cedar.example")
    browser = signed_in(cast.owner)
    assert "Expired" in text_of(browser.get(URL))
    again = browser.post(f"{URL}invitations/{row.pk}/again/", follow=True)
    assert "Only the newest link works" in text_of(again)
    assert "Expired" not in text_of(again)
    gone = browser.post(f"{URL}invitations/{row.pk}/withdraw/", follow=True)
    assert "late@cedar.example" not in text_of(gone)
    twice = browser.post(f"{URL}invitations/{row.pk}/withdraw/", follow=True)
    assert "was withdrawn" in text_of(twice)
    assert browser.get(f"{URL}invitations/{row.pk}/again/").status_code == 405


def test_a_person_who_is_seated_is_named_as_such(cast: Cast) -> None:
    confirmed(cast.viewer)
    answer = signed_in(cast.owner).post(URL, FORM | {"email": cast.viewer.email})
    assert "has that role already" in text_of(answer)


def test_an_owner_changes_a_role(cast: Cast) -> None:
    browser, seat = signed_in(cast.owner), seat_of(cast, "viewer")
    page = text_of(browser.get(f"{URL}{seat.pk}/"))
    assert "Viewer" in page
    same = browser.post(f"{URL}{seat.pk}/", {"role": "viewer"})
    assert same.status_code == 422
    assert browser.post(f"{URL}{seat.pk}/", {"role": "technical"}).status_code == 302
    assert seat_of(cast, "viewer").role == "technical"
    assert browser.get(f"{URL}{seat.pk}/").status_code == 404  # that seat has ended
    for name, code in (("technical", 403), ("finance", 403), ("outsider", 404)):
        assert signed_in(cast.person(name)).get(f"{URL}{seat_of(cast, 'viewer').pk}/").status_code == code


def test_the_last_owner_cannot_be_demoted_and_reads_why(cast: Cast) -> None:
    answer = signed_in(cast.owner).post(f"{URL}{seat_of(cast, 'owner').pk}/", {"role": "viewer"})
    assert answer.status_code == 422
    assert "last owner cannot leave" in text_of(answer)


def test_a_due_review_shows_and_is_confirmed(cast: Cast) -> None:
    seat = seat_of(cast, "viewer")
    with consortium_scope(Scope.COMMAND):
        Seat.objects.filter(pk=seat.pk).update(created_at=now() - timedelta(days=400))
    browser = signed_in(cast.owner)
    assert "Review" in text_of(browser.get(URL))
    assert "yearly review is due since" in text_of(browser.get(f"{URL}{seat.pk}/"))
    staff = signed_in(cast.staff)
    queue = staff.get("/en/staff/").content.decode()
    assert "Seats whose yearly review is overdue" in queue
    assert ">Viewer<" in staff.get("/en/staff/members/seat/?review=due").content.decode()
    assert browser.post(f"{URL}{seat.pk}/confirm/").status_code == 302
    assert "yearly review is due since" not in text_of(browser.get(f"{URL}{seat.pk}/"))
    assert "Seats whose yearly review is overdue" not in staff.get("/en/staff/").content.decode()


def test_a_viewer_leaves_without_seeing_the_people(cast: Cast) -> None:
    browser, mine = signed_in(cast.viewer), seat_of(cast, "viewer")
    assert browser.get(URL).status_code == 403
    assert browser.get(f"{URL}{seat_of(cast, 'owner').pk}/end/").status_code == 404
    assert "loses the role" in text_of(browser.get(f"{URL}{mine.pk}/end/"))
    assert browser.post(f"{URL}{mine.pk}/end/")["Location"] == "/en/"
    assert browser.get("/en/i/cedar/").status_code == 404


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_ownership_is_offered_and_accepted(cast: Cast, language: str) -> None:
    owner, other = signed_in(cast.owner), signed_in(cast.viewer)
    url = f"/{language}/i/cedar/people/ownership/"
    assert "viewer@people.example" in text_of(owner.get(url))
    assert owner.post(url, {"person": "nobody", "keeps_role": "viewer"}).status_code == 422
    assert owner.post(url, {"person": str(cast.viewer.pk), "keeps_role": "technical"}).status_code == 302
    with consortium_scope(Scope.COMMAND):
        offer = OwnershipOffer.objects.get()
    assert str(offer.pk) in text_of(owner.get(URL))
    text_of(owner.get(f"{url}{offer.pk}/"))
    assert signed_in(cast.technical).get(f"{url}{offer.pk}/").status_code == 404
    assert owner.post(f"{url}{offer.pk}/", {"do": "accept"}).status_code == 403
    assert other.post(f"{url}{offer.pk}/", {"do": "nonsense"}).status_code == 200
    assert other.post(f"{url}{offer.pk}/", {"do": "accept"}).status_code == 302
    assert (seat_of(cast, "viewer").role, seat_of(cast, "owner").role) == ("owner", "technical")
    twice = other.post(f"{url}{offer.pk}/", {"do": "accept"})
    assert twice.status_code == 409
    text_of(twice)


def test_an_offer_is_declined_or_withdrawn(cast: Cast) -> None:
    owner, url = signed_in(cast.owner), "/en/i/cedar/people/ownership/"
    for person, who, act in ((cast.viewer, cast.viewer, "decline"), (cast.finance, cast.owner, "withdraw")):
        owner.post(url, {"person": str(person.pk), "keeps_role": ""})
        with consortium_scope(Scope.COMMAND):
            offer = OwnershipOffer.objects.get(status="offered")
        assert signed_in(who).post(f"{url}{offer.pk}/", {"do": act}).status_code == 302
    assert seat_of(cast, "owner").role == "owner"


def test_without_a_colleague_the_page_says_whom_to_invite(cast: Cast) -> None:
    assert "Nobody to hand it to" in text_of(signed_in(cast.outsider).get("/en/i/maple/people/ownership/"))


# --- Oneself ------------------------------------------------------------------------------------------------------


def test_a_person_changes_the_own_name_and_language(cast: Cast) -> None:
    browser = signed_in(cast.viewer)
    assert browser.post("/en/accounts/profile/", {"name": " Vera  Vee ", "language": "fr"}).status_code == 302
    person = User.objects.get(pk=cast.viewer.pk)
    assert (person.name, person.language) == ("Vera Vee", "fr")
    assert "Vera Vee" in text_of(browser.get("/fr/accounts/profile/"))
    assert Client().get("/en/accounts/profile/").status_code == 302


def test_html_in_a_name_is_text_everywhere(cast: Cast) -> None:
    name = "<img src=x onerror=alert(1)>"
    signed_in(cast.viewer).post("/en/accounts/profile/", {"name": name, "language": "en"})
    browser = signed_in(cast.owner)
    for url in (URL, f"{URL}{seat_of(cast, 'viewer').pk}/", f"{URL}{seat_of(cast, 'viewer').pk}/end/"):
        html = browser.get(url).content.decode()
        assert "<img src=x" not in html
        assert "&lt;img src=x" in html


@pytest.mark.parametrize(
    ("name", "kept"), [("x" * 2_000_000, True), ("", True), ("a\x00b", False)], ids=["2 MB", "empty", "null byte"]
)
def test_an_impossible_name_is_named_and_nothing_is_changed(cast: Cast, name: str, kept: bool) -> None:
    answer = signed_in(cast.viewer).post("/en/accounts/profile/", {"name": name, "language": "fr"})
    assert answer.status_code == 422
    html = answer.content.decode()
    assert 'class="error-summary"' in html
    assert (name in html) or not kept
    assert User.objects.get(pk=cast.viewer.pk).name == "Viewer"


def test_what_is_larger_than_a_form_may_be_is_refused(cast: Cast, at: datetime) -> None:
    browser = signed_in(cast.viewer)
    browser.raise_request_exception = False
    answer = browser.post("/en/accounts/profile/", {"name": "x" * 3_000_000, "language": "fr"})
    assert answer.status_code in {400, 413}
    assert User.objects.get(pk=cast.viewer.pk).name == "Viewer"
