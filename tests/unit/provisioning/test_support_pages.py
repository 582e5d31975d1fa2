"""The pages of support: who opens them, what they show in both languages, files as downloads alone, staff's acts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from io import BytesIO

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client

from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.kernel.uploads import Upload
from consortium.models import Document
from members.models import User
from provisioning.models import ClosedDay, Hub, SupportMessage, SupportRequest
from provisioning.support.talking import answer, note
from tests.cast import Cast
from tests.unit.provisioning.support_stories import agreed_hub, opened

NOW = datetime(2026, 10, 15, 16, 0, tzinfo=UTC)
PAGE = "/en/i/cedar/support/"
ASKED = {"hub": "cedar-stats", "severity": "outage", "title": "Servers do not start", "text": "Since nine."}


@pytest.fixture(autouse=True)
def place(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return agreed_hub(cast, at=datetime(2026, 10, 1, 7, 0, tzinfo=UTC))


def browser(user: User, *, checks: bool = False) -> Client:
    Authenticator.objects.get_or_create(user=user, type=Authenticator.Type.TOTP, defaults={"data": {}})
    client = Client(headers={"host": "localhost"}, enforce_csrf_checks=checks)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def sent(name: str, content: bytes) -> BytesIO:
    file = BytesIO(content)
    file.name = name
    return file


def test_who_sees_support(cast: Cast, hub: Hub) -> None:
    request = opened(cast, hub, at=NOW)
    codes = {"owner": 200, "technical": 200, "finance": 403, "viewer": 403, "outsider": 404, "stranger": 404}
    for who, code in codes.items():
        for page in (PAGE, f"{PAGE}new/", f"{PAGE}{request.pk}/", f"{PAGE}export.csv"):
            assert browser(cast.person(who)).get(page).status_code == code, (who, page)


def test_a_university_asks_reads_and_answers_in_the_browser(cast: Cast, hub: Hub) -> None:
    client = browser(cast.technical)
    assert "Nothing is open" in client.get(PAGE).text
    form = client.get(f"{PAGE}new/?hub=cedar-stats").text
    assert "Nobody can work: first answer within 1 h, around the clock" in form
    assert client.get("/fr/i/cedar/support/new/").text.count("Personne ne peut travailler") == 2
    refused = client.post(f"{PAGE}new/", ASKED | {"title": ""})
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "Since nine." in refused.text
    bad = client.post(f"{PAGE}new/", ASKED | {"attachments": [sent("tool.exe", b"MZ")]})
    assert "tool.exe cannot be taken" in bad.text
    made = client.post(f"{PAGE}new/", ASKED | {"attachments": [sent("a.log", b"x"), sent("b.log", b"y")]})
    with consortium_scope(Scope.STAFF):
        request = SupportRequest.objects.get()
        assert Document.objects.filter(kind__startswith="support_").count() == 2
        note(request, text="The node is full.", by=cast.staff, at=NOW)
        answer(request, text="Which class?", to="waiting", by=cast.staff, at=NOW)
    assert made.url == f"{PAGE}{request.pk}/"  # type: ignore[attr-defined]
    page = client.get(made.url).text  # type: ignore[attr-defined]
    assert "Which class?" in page
    assert "Staff, for the consortium" in page
    assert "The node is full." not in page
    assert client.post(f"{PAGE}{request.pk}/", {"text": ""}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    client.post(f"{PAGE}{request.pk}/", {"text": "All of them."})
    assert "Waits for the consortium" in client.get(PAGE).text
    client.post(f"{PAGE}{request.pk}/close/")
    assert "Cette demande est fermée" in client.get(f"/fr/i/cedar/support/{request.pk}/").text
    assert "Servers do not start" in client.get(f"{PAGE}?show=closed").text
    assert client.get(f"{PAGE}export.csv").text.count("\r\n") == 2


def test_a_file_is_handed_out_as_a_download_that_no_browser_shows(cast: Cast, hub: Hub) -> None:
    request = opened(cast, hub, at=NOW, attachments=(Upload("page.txt", b"<script>alert(1)</script>"),))
    with consortium_scope(Scope.STAFF):
        document = Document.objects.get(kind="support_1")
    address = f"{PAGE}{request.pk}/files/{document.pk}/"
    answer = browser(cast.technical).get(address)
    assert answer.content == b"<script>alert(1)</script>"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == 'attachment; filename="page.txt"'
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert browser(cast.outsider).get(address).status_code == HTTPStatus.NOT_FOUND
    other = opened(cast, hub, at=NOW)
    assert browser(cast.technical).get(address.replace(str(request.pk), str(other.pk))).status_code == 404
    staff = f"/en/staff/provisioning/supportrequest/{request.pk}/files/{document.pk}/"
    assert browser(cast.staff).get(staff)["Content-Disposition"].startswith("attachment")


def test_a_file_of_a_note_for_staff_stays_with_staff(cast: Cast, hub: Hub) -> None:
    request = opened(cast, hub, at=NOW)
    with consortium_scope(Scope.STAFF):
        note(request, text="See.", attachments=(Upload("node.log", b"x"),), by=cast.staff, at=NOW)
        document = Document.objects.get(kind="support_1")
    address = f"{PAGE}{request.pk}/files/{document.pk}/"
    assert browser(cast.technical).get(address).status_code == HTTPStatus.NOT_FOUND


def test_what_is_too_large_is_refused_before_it_is_read_and_the_token_is_still_asked_for(cast: Cast, hub: Hub) -> None:
    client = browser(cast.technical, checks=True)
    refused = client.post(
        f"{PAGE}new/", data=b"", content_type="multipart/form-data; boundary=x", headers={"content-length": "99000000"}
    )
    assert refused.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert "larger than 25 MB" in refused.text
    assert client.post(f"{PAGE}new/", ASKED).status_code == HTTPStatus.FORBIDDEN


def test_operators_see_what_is_due_answer_and_export(cast: Cast, hub: Hub) -> None:
    request = opened(cast, hub, at=NOW - timedelta(minutes=50))
    operator = browser(cast.staff)
    index = operator.get("/en/staff/").text
    assert "Answers to universities that are due soon, or late" in index
    queue = operator.get("/en/staff/provisioning/supportrequest/?due=near").text
    assert "▲ soon 2026-10-15 16:10 UTC" in queue
    row = f"/en/staff/provisioning/supportrequest/{request.pk}/"
    assert "spawn error" in operator.get(f"{row}change/").text
    assert "spawn error" in operator.get(f"{row}act/answer/").text
    files = {"attachments": [sent("plan.pdf", b"%PDF-1.7")]}
    operator.post(f"{row}act/answer/", {"text": "We look.", "to": "answered"} | files)
    operator.post(f"{row}act/severity/", {"severity": "question", "text": "One class alone."})
    operator.post(f"{row}act/note/", {"text": "Node 4."})
    with consortium_scope(Scope.STAFF):
        request.refresh_from_db()
        assert (request.status, request.severity, request.messages.count()) == ("answered", "question", 4)
        assert SupportMessage.objects.get(internal=True).text == "Node 4."
    assert "plan.pdf" in operator.get(f"{row}change/").text
    action = {"action": "export", "_selected_action": str(request.pk)}
    assert "cedar-stats#1" in operator.post("/en/staff/provisioning/supportrequest/", action).text


def test_closed_days_are_told_ahead(cast: Cast, hub: Hub) -> None:
    operator = browser(cast.staff)
    words = {"name_en": "Remembrance Day", "name_fr": "Jour du Souvenir"}
    add = "/en/staff/provisioning/closedday/add/"
    assert "still to come" in operator.post(add, words | {"day": "2026-10-15"}).text
    assert operator.post(add, words | {"day": "2026-11-11"}).status_code == HTTPStatus.FOUND
    assert ClosedDay.objects.count() == 1
    assert "Jour du Souvenir" in browser(cast.technical).get("/fr/i/cedar/support/new/").text
