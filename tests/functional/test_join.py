"""Journey "Join" in a real browser, by keyboard, in English then French: from the application to the signed PDF.

Quebec's Birch applies: a field is left out, staff ask and are answered, approve with a draft and offer it; its owner
sets up a second factor, is handed the French text first and signs; staff countersign; every copy of the PDF is one.
"""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.db import connections
from django.utils import translation
from django.utils.translation import gettext
from playwright.sync_api import Browser

from consortium.kernel import jobs
from consortium.kernel.audit import System
from consortium.kernel.clock import now
from consortium.kernel.pdf import write_pdf
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.demo import foundation
from consortium.management.demo.schedule import SCHEDULE
from consortium.models import Document, Job, OutgoingMail
from members.agreement_document import SHEET
from members.agreements import publish_template
from members.diligence import PackFile, add_document, publish_version
from members.models import Institution, Signature, User
from tests.cast import PASSWORD, make_cast
from tests.functional.conftest import totp
from tests.functional.windows import Window, window
from tests.unit.members.story import deliver

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("one_thread_is_enough")]

ALMA = "alma@birch.example"
STAFF = "staff@people.example"
TEXTS = Path(foundation.__file__).parent
CLAUSES = {f"clauses_{code}": (TEXTS / f"agreement_{code}.md").read_text(encoding="utf-8") for code in ("en", "fr")}
ANSWERS = {
    "identity": {"legal_name": "Birch University", "address": "1 Birch Road", "postal_code": "g1r 4s9"},
    "size": {"fte": "9,000", "staff_fte": "1,200"},
    "signatory": {"signatory_name": "Alma Birch", "signatory_title": "Rector", "signatory_email": ALMA},
    "administrators": {"person_1_name": "Alma Birch"},
    "invoices": {"finance_email": "ap@birch.example"},
    "contacts": {
        "technical_name": "Theo", "technical_email": "it@birch.example", "privacy_name": "Petra",
        "privacy_email": "privacy@birch.example",
    },
    "sign_on": {"sign_on_id": "https://idp.birch.example/shibboleth"},
    "use": {"purpose": "First-year statistics."},
}  # fmt: skip


@dataclass
class Journey:
    """Who travels in which language, in which windows."""

    language: str
    owner: Window
    staff: Window
    anybody: Window
    secret: str

    def words(self, message: str) -> str:
        """A sentence of the portal in the language of the journey."""
        with translation.override(self.language):
            return gettext(message)

    def mailed(self, template: str, to: str) -> str:
        """Let the outbox work; returns the address in the newest such mail, which is in the language of its reader."""
        deliver(now())
        with consortium_scope(Scope.COMMAND):
            mail = OutgoingMail.objects.filter(template=template, recipient=to).latest("id")
        assert mail.language == (self.language if to == ALMA else "en")
        return next(line for line in mail.body.splitlines() if line.startswith("http"))


@pytest.fixture(params=["en", "fr"])
def journey(request: pytest.FixtureRequest, portal_url: str, browser: Browser) -> Iterator[Journey]:
    """Birch in Quebec, which has not joined; terms, a due-diligence pack and a member of staff that wait for it."""
    at, language = now(), request.param
    cast = make_cast(at - timedelta(days=400))
    institution = {"name_en": "Birch University", "name_fr": "Université Birch", "city": "Québec", "province": "QC"}
    Institution.objects.create(slug="birch", zone="America/Toronto", domain="birch.example", **institution)
    alma = User.objects.create_user(ALMA, PASSWORD, name="Alma Birch", language=language)
    cast.staff.set_password(PASSWORD)
    cast.staff.save()
    secret = generate_totp_secret()
    TOTP.activate(cast.staff, secret)
    for person in (alma, cast.staff):
        EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    with consortium_scope(Scope.COMMAND):
        titles = {"title_en": "Service agreement", "title_fr": "Entente de service"}
        publish_template(issuer=cast.issuer, **titles, **CLAUSES, schedule=SCHEDULE, by=System("test"), at=at)
        _publish_pack(at)
    with ExitStack() as opened:
        owner, staff, anybody = (
            opened.enter_context(window(browser, url=portal_url, journey=f"join-{language} {who}"))
            for who in ("owner", "staff", "anybody")
        )
        yield Journey(language, owner, staff, anybody, secret)


def _publish_pack(at: Any) -> None:
    facts = {"slug": "hecvat", "kind": "hecvat", "title_en": "HECVAT answers", "title_fr": "Réponses au HECVAT"}
    review_on = at.date() + timedelta(days=365)
    document = add_document(
        **facts, description_en="", description_fr="", review_on=review_on, by=System("test"), at=at
    )
    files = {
        code: PackFile("hecvat.pdf", write_pdf(f"<html lang={code}><title>H</title><h1>HECVAT</h1>", sheet=SHEET))
        for code in ("en", "fr")
    }
    publish_version(document, files=files, dated=at.date(), review_on=review_on, by=System("test"), at=at)


def test_a_university_joins(journey: Journey) -> None:
    apply(journey)
    ask_and_answer(journey)
    approve_and_offer(journey)
    second_factor(journey)
    read_and_sign(journey)
    countersign(journey)
    one_hash(journey)


def apply(journey: Journey) -> None:
    """Sign in, choose the university, answer with a gap, follow the summary to it, check, submit."""
    owner, words = journey.owner, journey.words
    sign_in(owner, ALMA, path=f"/{journey.language}/apply/?q=birch")
    owner.looked_at("apply")
    owner.send(words("Choose"))
    owner.looked_at("tasks")
    download_pack(journey)
    for section, answers in ANSWERS.items():
        owner.enter(owner.page.locator(f".task-list a[href$='/{section}/']"))
        if section == "sign_on":
            owner.tab_to(owner.page.locator("[name=sign_on]").first)
            owner.page.keyboard.press("Space")
        for name, text in answers.items():
            owner.write(name, "" if name == "signatory_email" else text)
        owner.looked_at(section, narrow=section in ("identity", "sign_on"))
        owner.send(words("Save and continue"))
        if section == "signatory":
            follow_the_summary(journey)
    owner.looked_at("check")
    owner.send(words("Submit the application"))
    owner.looked_at("submitted")


def sign_in(window: Window, email: str, *, path: str, secret: str = "") -> None:
    """Go where a mail or a bookmark leads: through the sign-in page, with a second factor where there is one."""
    window.open(path)
    window.write("login", email)
    window.write("password", PASSWORD)
    window.enter()
    if secret:
        window.write("code", totp(secret))
        window.enter()
    window.page.wait_for_url(lambda url: "/accounts/" not in url)


def follow_the_summary(journey: Journey) -> None:
    """The summary has the focus; its link leads to the field that was left out, and the other answers are kept."""
    owner = journey.owner
    owner.refused()
    assert owner.page.title().startswith(journey.words("Error:"))
    # The skip link was used on this page: its #main must not take the focus from the summary.
    summary = owner.page.locator(".error-summary:focus")
    summary.wait_for()
    owner.looked_at("left-out")
    owner.tab_to(owner.page.locator(".error-summary a"))
    owner.page.keyboard.press("Enter")
    field = owner.page.locator("[name=signatory_email]")
    assert field.evaluate("element => element === document.activeElement")
    assert owner.page.locator("[name=signatory_name]").input_value() == "Alma Birch"
    owner.page.keyboard.type(ALMA)
    owner.send(journey.words("Save and continue"))


def download_pack(journey: Journey) -> None:
    """The applicant reads the due-diligence pack, in either language or all of it, before anything is signed."""
    owner = journey.owner
    tasks = owner.page.url
    owner.open(f"/{journey.language}/due-diligence/")
    owner.looked_at("pack")
    for code in ("en", "fr"):
        name, content = owner.download(owner.page.locator(f"main a[hreflang={code}]"))
        assert name == f"hecvat-v1-{code}.pdf"
        assert content.startswith(b"%PDF-")
    name, content = owner.download(owner.page.locator("main a[href$='.zip']"))
    assert name.endswith(".zip")
    assert content.startswith(b"PK")
    owner.open(tasks)


def ask_and_answer(journey: Journey) -> None:
    """Staff find the application by their mail and ask; the applicant answers by theirs."""
    owner, staff = journey.owner, journey.staff
    url = journey.mailed("members_review", STAFF)
    sign_in(staff, STAFF, path=url, secret=journey.secret)
    look = journey.language == "en"  # staff's pages are the same in both
    if look:
        staff.looked_at("review", narrow=False)
    staff.follow("Ask a question")
    staff.write("text", "How many courses?")
    if look:
        staff.looked_at("ask", narrow=False)
    staff.send("Ask a question")
    owner.open(journey.mailed("members_question", ALMA))
    assert "How many courses?" in owner.page.locator("main").inner_text()
    owner.looked_at("question")
    owner.write("text", "Two, of 400 students each.")
    owner.send(journey.words("Send the answer"))
    owner.looked_at("answered")


def approve_and_offer(journey: Journey) -> None:
    """Staff approve with a draft, look at it and offer it."""
    staff, look = journey.staff, journey.language == "en"
    staff.open(journey.mailed("members_review", STAFF))
    staff.follow("Approve")
    staff.tab_to(staff.page.locator("[name=negotiate]"))
    staff.page.keyboard.press("Space")
    if look:
        staff.looked_at("approve", narrow=False)
    staff.send("Approve")
    staff.open("/en/staff/members/agreement/")
    staff.enter(staff.page.locator("#result_list tbody a").first)
    if look:
        staff.looked_at("draft", narrow=False)
    staff.follow("Offer")
    staff.send("Offer")


def second_factor(journey: Journey) -> None:
    """The mailed link leads the new owner to setting up an authenticator app: an owner needs a second factor."""
    owner, words = journey.owner, journey.words
    journey.owner.open(journey.mailed("members_approved", ALMA))
    owner.open(journey.mailed("members_offer", ALMA))
    owner.page.wait_for_url("**/accounts/mfa/")
    owner.looked_at("factor")
    owner.follow(words("Set it up"))
    owner.looked_at("is-it-you", narrow=False)
    owner.write("password", PASSWORD)
    owner.enter()
    owner.looked_at("authenticator")
    secret = owner.page.locator("main code").first.inner_text()
    owner.write("code", totp(secret.replace(" ", "")))
    owner.send(words("Switch it on"))
    owner.looked_at("recovery-codes")


def read_and_sign(journey: Journey) -> None:
    """In Quebec the French text is handed over first, to who will sign the English one too."""
    owner, words = journey.owner, journey.words
    owner.open(journey.mailed("members_offer", ALMA))
    owner.looked_at("offered")
    if journey.language == "en":
        assert owner.page.get_by_role("button", name=words("Sign the agreement")).count() == 0
        owner.send(words("Receive the French text"))
    article = owner.page.locator("article")
    assert article.get_attribute("lang") == "fr"
    assert "Entente de service" in article.inner_text()
    owner.looked_at("french-text")
    if journey.language == "en":
        owner.follow("English")
        assert article.get_attribute("lang") == "en"
    owner.tab_to(owner.page.locator("a[href='#sign']"))
    owner.page.keyboard.press("Enter")
    owner.write("title", "Rector")
    owner.send(words("Sign the agreement"))  # without consent
    owner.refused()
    owner.page.locator(".error-summary:focus").wait_for()
    owner.looked_at("no-consent", narrow=False)
    assert owner.page.locator("[name=title]").input_value() == "Rector"
    owner.tab_to(owner.page.locator("[name=consent]"))
    owner.page.keyboard.press("Space")
    owner.send(words("Sign the agreement"))
    owner.looked_at("signed")
    with consortium_scope(Scope.COMMAND):
        assert Signature.objects.get(side="member").language == journey.language


def countersign(journey: Journey) -> None:
    """Staff sign for the consortium, by the link in their mail; the job makes both PDFs."""
    staff = journey.staff
    staff.open(journey.mailed("members_signed", STAFF))
    staff.follow("Countersign")
    staff.write("name", "Sam Staff")
    staff.write("title", "Director")
    if journey.language == "en":
        staff.looked_at("countersign", narrow=False)
    staff.send("Countersign")
    with consortium_scope(Scope.COMMAND):
        job = Job.objects.get(kind="render_agreement")
    worker = Thread(target=_work, args=(job.pk,))  # signing wants an event loop, and Playwright's runs in this thread
    worker.start()
    worker.join(60)
    with consortium_scope(Scope.COMMAND):
        job.refresh_from_db()
        assert job.state == "succeeded", job.error


def _work(job_id: UUID) -> None:
    try:
        jobs.run(job_id)
    finally:
        connections.close_all()


def one_hash(journey: Journey) -> None:
    """Each download of a text is the same, on the page in either language; anybody can verify it, and no other."""
    owner, other = journey.owner, {"en": "fr", "fr": "en"}[journey.language]
    url = journey.mailed("members_in_force", ALMA)
    owner.open(url)
    owner.looked_at("in-force")
    copies = {code: owner.download(owner.page.locator(f"main a[href$='/{code}.pdf']"))[1] for code in ("en", "fr")}
    owner.open(url.replace(f"/{journey.language}/", f"/{other}/"))
    shown = owner.page.locator("main").inner_text()
    for code, content in copies.items():
        again = owner.download(owner.page.locator(f"main a[href$='/{code}.pdf']"))[1]
        digest = hashlib.sha256(content).hexdigest()
        assert hashlib.sha256(again).hexdigest() == digest
        assert digest in shown
        with consortium_scope(Scope.COMMAND):
            assert Document.objects.get(language=code, kind="agreement").sha256 == digest
    anybody, original = journey.anybody, copies[journey.language]
    anybody.open(f"/{journey.language}/verify/")
    anybody.looked_at("verify")
    changed = original.replace(b"%PDF-1.", b"%PDF-9.", 1)
    for name, content, verdict in (
        ("original", original, "Valid: these are the original bytes"),
        ("changed", changed, "Not valid: no document of the consortium has these bytes"),
    ):
        file = {"name": f"{name}.pdf", "mimeType": "application/pdf", "buffer": content}
        anybody.page.locator("[name=document]").set_input_files(file)  # type: ignore[arg-type]
        anybody.send(journey.words("Verify"))
        assert anybody.page.get_by_role("alert").locator("text=" + journey.words(verdict)).count() == 1
        anybody.looked_at(name)
