"""Pages of an agreement's life: owners negotiate, delegates sign by a link, anybody verifies a document."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from consortium.kernel import jobs
from consortium.kernel.clock import now
from consortium.kernel.documents import read
from consortium.kernel.signing import read_seal
from consortium.kernel.spoken import spoken_day
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from members import agreements
from members.agreement_document import agreement_documents
from members.agreements.delegates import make_link
from members.agreements.ending import earliest_last_day
from members.models import Agreement, AgreementEvent, Institution, Seat, Signature, SigningInvitation, TextDelivery
from tests.cast import Cast, make_cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.members.agreement_story import BUILDERS, Place, edit
from tests.unit.members.story import make_applicant_university, make_template, offered

ADDRESS = "rector@birch.example"


@pytest.fixture
def place(cast: Cast, birch: Institution, terms: Any) -> Place:
    # The pages read the clock, so these stories are told in the present.
    return Place(cast, birch, terms, now())


def built(place: Place, state: str) -> Agreement:
    with consortium_scope(Scope.COMMAND):
        return BUILDERS[state](place)


def url_of(agreement: Agreement, page: str = "", language: str = "en") -> str:
    return f"/{language}/i/{agreement.institution.slug}/agreements/{agreement.pk}/{page}"


def now_is(agreement: Agreement) -> Agreement:
    with consortium_scope(Scope.COMMAND):
        return Agreement.objects.get(pk=agreement.pk)


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("state", ["offered", "signed", "announced", "in_force", "suspended", "terminating", "ended"])
def test_every_state_has_its_page_its_turn_and_its_history(place: Place, state: str, language: str) -> None:
    agreement = built(place, state)
    browser = signed_in(place.cast.stranger)
    html = text_of(browser.get(url_of(agreement, language=language)))
    assert ("Whose turn" if language == "en" else "Qui doit agir") in html
    assert "timeline" in html
    assert text_of(browser.get(f"/{language}/i/birch/agreements/"))
    for page in ("changes/", "request/"):
        assert text_of(browser.get(url_of(agreement, page, language)))


def test_the_front_page_leads_to_the_agreement_only_whom_it_lets_in(place: Place) -> None:
    agreement = built(place, "offered")
    people = {"finance": place.cast.finance, "viewer": place.cast.viewer}
    with consortium_scope(Scope.COMMAND):
        for role, person in people.items():
            Seat.objects.create(institution=agreement.institution, user=person, role=role, created_at=now())
    pages = {role: text_of(signed_in(person).get("/en/i/birch/")) for role, person in people.items()}
    assert "/agreements/" not in pages["viewer"]
    assert "Read the agreement" in pages["finance"]
    assert "Read and sign it" not in pages["finance"]
    assert "Read and sign it" in text_of(signed_in(place.cast.stranger).get("/en/i/birch/"))


def test_an_owner_sends_an_offer_back_and_then_sees_what_changed(place: Place) -> None:
    agreement, browser = built(place, "offered"), signed_in(place.cast.stranger)
    empty = browser.post(url_of(agreement, "request/"), {"text": " "})
    assert empty.status_code == 422
    assert "<title>Error:" in " ".join(text_of(empty).split())
    assert browser.post(url_of(agreement, "request/"), {"text": "120 days, please."}).status_code == 302
    page = text_of(browser.get(url_of(agreement)))
    assert "The consortium revises this version" in page
    assert "120 days, please." in page
    assert "Sign the agreement" not in page
    with consortium_scope(Scope.COMMAND):
        edit(now_is(agreement), by=place.cast.staff, at=now(), terms={"notice_days": 120})
        agreements.offer_agreement(now_is(agreement), by=place.cast.staff, at=now())
    changes = text_of(browser.get(url_of(agreement, "changes/")))
    assert "<del>90 days</del>" in changes
    assert "<ins>120 jours</ins>" in changes
    assert "Since the offer that you sent back" in text_of(browser.get(url_of(agreement)))


def test_an_owner_gives_notice_and_takes_it_back(place: Place) -> None:
    agreement, browser = built(place, "in_force"), signed_in(place.cast.stranger)
    with consortium_scope(Scope.COMMAND):
        soonest = earliest_last_day(agreement, at=now())
    url = url_of(agreement, "notice/")
    too_soon = browser.post(url, {"last_day": str(soonest - timedelta(days=5)), "reason": "We leave."})
    assert too_soon.status_code == 422
    assert f"the soonest last day is {spoken_day(soonest)}" in text_of(too_soon)
    assert "We leave." in text_of(too_soon)
    assert browser.post(url, {"last_day": str(soonest), "reason": "We leave."}).status_code == 302
    assert now_is(agreement).status == "terminating"
    assert "Notice was given to end this agreement" in text_of(browser.get(url_of(agreement)))
    assert browser.post(url, {"reason": ""}).status_code == 302
    assert now_is(agreement).status == "in_force"


PAGES = ["request/", "delegate/", "notice/", "french/"]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("name", "status"), [("finance", 403), ("technical", 403), ("viewer", 403), ("outsider", 404), ("staff", 404)]
)
def test_only_owners_act_on_agreements(place: Place, page: str, name: str, status: int) -> None:
    agreement = built(place, "offered")
    with consortium_scope(Scope.COMMAND):
        Agreement.objects.filter(pk=agreement.pk).update(institution=place.cast.university)
        agreement = Agreement.objects.select_related("institution").get(pk=agreement.pk)
    browser = signed_in(place.cast.person(name))
    assert browser.post(url_of(agreement, page), {"text": "x"}).status_code == status
    assert not TextDelivery.objects.exists()
    assert now_is(agreement).status == "offered"


def linked(place: Place, agreement: Agreement) -> str:
    """The address of a delegate's page."""
    with consortium_scope(Scope.COMMAND):
        invitation = SigningInvitation.objects.get(agreement=agreement, used_at=None, revoked_at=None)
        return f"/en/sign/{make_link(invitation)}/"


def signature_form(agreement: Agreement, **changes: str) -> dict[str, str]:
    return {
        "email": ADDRESS, "name": "Rita Rector", "title": "Rector", "language": "en", "consent": "on",
        "seen": agreements.content_sha256(now_is(agreement)),
    } | changes  # fmt: skip


def test_a_delegate_reads_and_signs_without_an_account(place: Place) -> None:
    agreement, owner = built(place, "offered"), signed_in(place.cast.stranger)
    wish = {"name": "Rita Rector", "email": ADDRESS, "language": "en"}
    assert 'value="vp@birch.example"' in text_of(owner.get(url_of(agreement, "delegate/")))  # of the application
    assert owner.post(url_of(agreement, "delegate/"), wish | {"email": "nobody"}).status_code == 422
    assert owner.post(url_of(agreement, "delegate/"), wish).status_code == 302
    assert "A delegate signs next" in text_of(owner.get(url_of(agreement)))
    url, anyone = linked(place, agreement), Client()
    for _ in range(2):  # a mail scanner, then the delegate
        page = anyone.get(url)
        assert "6,000.00" in text_of(page)
        assert now_is(agreement).status == "offered"
    assert (page["Referrer-Policy"], page["Cache-Control"]) == ("no-referrer", "private, no-store")
    assert "noindex" in page["X-Robots-Tag"]
    wrong = anyone.post(url, signature_form(agreement, email="me@evil.example"))
    assert wrong.status_code == 422
    assert "sent to another address" in text_of(wrong)
    assert "Rita Rector" in text_of(wrong)
    assert "Tick the box" in text_of(anyone.post(url, signature_form(agreement, consent="")))
    done = anyone.post(url, signature_form(agreement))
    assert done.status_code == 200
    assert agreements.content_sha256(agreement) in text_of(done)
    assert now_is(agreement).status == "signed"
    used = anyone.get(url)
    assert used.status_code == 410
    assert "signed with this link already" in text_of(used)
    assert anyone.get("/fr/sign/nonsense/").status_code == 404
    assert "(delegate)" in text_of(owner.get(url_of(agreement)))


def test_an_owner_takes_a_link_back(place: Place) -> None:
    agreement, owner = built(place, "offered"), signed_in(place.cast.stranger)
    owner.post(url_of(agreement, "delegate/"), {"name": "Rita", "email": ADDRESS, "language": "en"})
    url = linked(place, agreement)
    with consortium_scope(Scope.COMMAND):
        invitation = SigningInvitation.objects.get()
    assert "A link is on its way" in text_of(owner.get(url_of(agreement, "delegate/")))
    assert owner.post(url_of(agreement, f"delegate/{invitation.pk}/revoke/")).status_code == 302
    over = Client().post(url, signature_form(agreement))
    assert over.status_code == 410
    assert "taken back" in text_of(over)
    assert now_is(agreement).status == "offered"


def test_a_delegate_is_told_while_the_offer_is_revised(place: Place) -> None:
    agreement, owner = built(place, "offered"), signed_in(place.cast.stranger)
    owner.post(url_of(agreement, "delegate/"), {"name": "Rita", "email": ADDRESS, "language": "en"})
    url = linked(place, agreement)
    owner.post(url_of(agreement, "request/"), {"text": "More."})
    waiting = Client().post(url, signature_form(agreement))
    assert waiting.status_code == 409
    assert "this same link opens it" in text_of(waiting)


def quebec(place: Place) -> Agreement:
    with consortium_scope(Scope.COMMAND):
        Institution.objects.filter(pk=place.birch.pk).update(province="QC")
        place.birch.refresh_from_db()
        return offered(place.birch, **place.people)


def test_in_quebec_an_owner_receives_the_french_text_then_may_sign_the_english_one(place: Place) -> None:
    agreement, browser = quebec(place), signed_in(place.cast.stranger)
    page = text_of(browser.get(url_of(agreement) + "?text=en"))
    assert "The French text comes first" in page
    assert "Sign the agreement" not in page
    assert "Sign the agreement" in text_of(browser.get(url_of(agreement) + "?text=fr"))
    form = {"name": "Alma", "title": "VP", "language": "en", "consent": "on"}
    form["seen"] = agreements.content_sha256(agreement)
    refused = browser.post(url_of(agreement), form)
    assert refused.status_code == 422
    assert "In Quebec the French text comes first" in text_of(refused)
    assert browser.get(url_of(agreement, "french/")).status_code == 405  # opening an address records nothing
    received = browser.post(url_of(agreement, "french/"))
    assert received["Location"].endswith("?text=fr")
    page = text_of(browser.get(url_of(agreement) + "?text=en"))
    assert "The French text was handed to you on" in page
    assert "expressly wish" in page
    assert browser.post(url_of(agreement), form).status_code == 302
    with consortium_scope(Scope.COMMAND):
        assert Signature.objects.get().language == "en"


def test_in_quebec_a_delegate_receives_the_french_text_too(place: Place) -> None:
    agreement, anyone = quebec(place), Client()
    signed_in(place.cast.stranger).post(
        url_of(agreement, "delegate/"), {"name": "Rita", "email": ADDRESS, "language": "en"}
    )
    url = linked(place, agreement)
    assert "Sign the agreement" not in text_of(anyone.get(url + "?text=en"))
    assert anyone.post(url, signature_form(agreement)).status_code == 422
    assert anyone.post(url + "french/").status_code == 302
    assert "Sign the agreement" in text_of(anyone.get(url + "?text=en"))
    assert anyone.post(url, signature_form(agreement)).status_code == 200


@pytest.mark.usefixtures("committed_db")
def test_both_downloads_have_their_hash_are_signed_and_verify_until_a_byte_changes(at: Any) -> None:
    cast = make_cast(at)
    with consortium_scope(Scope.COMMAND):
        place = Place(cast, make_applicant_university(), make_template(cast.issuer, at), now())
        agreement = BUILDERS["in_force"](place)
        job = Job.objects.get(kind="render_agreement")
    assert jobs.run(job.pk)
    browser, anyone = signed_in(cast.stranger), Client()
    page = text_of(browser.get(url_of(agreement)))
    with consortium_scope(Scope.COMMAND):
        stored = agreement_documents(agreement)
    for language in ("en", "fr"):
        content = browser.get(url_of(agreement, f"{language}.pdf")).content
        digest = hashlib.sha256(content).hexdigest()
        assert digest == stored[language].sha256
        assert digest in page
        with consortium_scope(Scope.COMMAND):
            assert content == read(stored[language])
        seal = read_seal(content)
        assert seal is not None
        assert seal.is_good
        valid = anyone.post("/en/verify/", {"document": SimpleUploadedFile("a.pdf", content)})
        assert "Valid: these are the original bytes" in text_of(valid)
        assert "Birch University" in text_of(valid)
        for personal in ("Alma", "stranger@people.example"):
            assert personal not in text_of(valid)
        changed = content.replace(b"/Creator", b"/creator", 1)[:-1] + b"x"
        invalid = anyone.post("/fr/verify/", {"document": SimpleUploadedFile("a.pdf", changed)})
        assert "Non valide" in text_of(invalid)
        by_hash = anyone.get(f"/en/verify/?sha256={digest.upper()[:32]} {digest[32:]}")
        assert "Valid: these are the original bytes" in text_of(by_hash)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({}, 422, "Choose a PDF"),
        ({"sha256": "xyz"}, 422, "64 digits"),
        ({"sha256": "a" * 64}, 200, "Not valid"),
        ({"sha256": "é" * 300}, 422, ""),
        ({"document": b""}, 200, "Not valid"),
        ({"document": b"%PDF-1.7 \x00\xff garbage <</Length 99999999999>>"}, 200, "Not valid"),
        ({"document": b"x" * (10 * 1024 * 1024 + 1)}, 413, "larger than 10 MB"),
        ({"document": b"x" * (10 * 1024 * 1024 + 100_000)}, 413, "larger than 10 MB"),
    ],
)
def test_verification_answers_garbage_with_words(sent: dict[str, Any], status: int, said: str) -> None:
    form = {
        name: SimpleUploadedFile("x.pdf", value) if isinstance(value, bytes) else value for name, value in sent.items()
    }
    answer = Client().post("/en/verify/", form)
    assert answer.status_code == status
    assert said in text_of(answer)


def test_a_remark_about_an_agreement_in_force_reaches_staff(place: Place) -> None:
    agreement, browser = built(place, "in_force"), signed_in(place.cast.stranger)
    assert browser.post(url_of(agreement, "request/"), {"text": "A third hub?"}).status_code == 302
    with consortium_scope(Scope.COMMAND):
        assert AgreementEvent.objects.get(kind="commented").text == "A third hub?"
    assert now_is(agreement).status == "in_force"
