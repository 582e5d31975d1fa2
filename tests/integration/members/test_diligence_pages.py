"""The due-diligence pack in the browser: staff publish it, applicants and members download it, others do not."""

import io
import zipfile
from datetime import datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Application, DiligenceDocument, DiligenceVersion, Institution, StaffSeat
from members.onboarding import start_application
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.integration.members.test_staff_pages import waiting
from tests.unit.members.story import offered

__all__ = ["waiting"]

DOCUMENT = {
    "slug": "hecvat",
    "kind": "hecvat",
    "title_en": "HECVAT answers",
    "title_fr": "Réponses au HECVAT",
    "description_en": "All of them.",
    "description_fr": "Toutes.",
    "review_on": "2026-01-01",
    **{f"versions-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")},
}
LIST = "/en/staff/members/diligencedocument/"
PDF = b"%PDF-1.7 answers"


def publish(browser: Client, document: DiligenceDocument, content: bytes = PDF) -> int:
    form = {
        "file_en": SimpleUploadedFile("answers.pdf", content),
        "dated": "2026-01-01",
        "review_on": f"{now().year + 1}-12-01",
    }
    return browser.post(f"{LIST}{document.pk}/act/publish/", form).status_code


@pytest.fixture
def published(cast: Cast) -> DiligenceVersion:
    browser = signed_in(cast.staff)
    assert browser.post(f"{LIST}add/", DOCUMENT).status_code == 302
    document = DiligenceDocument.objects.get()
    assert "Due-diligence documents to look at again" in browser.get("/en/staff/").content.decode()
    assert "HECVAT" in browser.get(f"{LIST}?overdue=yes").content.decode()
    assert publish(browser, document, b"no pdf") == 422
    assert publish(browser, document) == 302
    assert f"{document.pk}/change/" not in browser.get(f"{LIST}?overdue=yes").content.decode()
    assert "hecvat-v1-en.pdf" in browser.get(f"{LIST}{document.pk}/change/").content.decode()
    return DiligenceVersion.objects.get()


def test_an_applicant_reads_it_before_signing(
    cast: Cast, published: DiligenceVersion, birch: Institution, at: datetime
) -> None:
    browser = signed_in(cast.stranger, second_factor=False)
    refused = browser.get("/en/due-diligence/")
    assert refused.status_code == 403
    assert "HECVAT" not in text_of(refused)
    assert browser.get(f"/en/due-diligence/{published.pk}/en/").status_code == 404
    assert browser.get("/en/due-diligence/all.zip").status_code == 404
    with consortium_scope(Scope.COMMAND):
        application = start_application(institution=birch, by=cast.stranger, at=at)
    assert "Réponses au HECVAT" in text_of(browser.get(f"/fr/applications/{application.pk}/"))
    file = browser.get(f"/en/due-diligence/{published.pk}/en/")
    assert (file.content, file["Content-Type"]) == (PDF, "application/pdf")
    assert file["Content-Disposition"] == 'attachment; filename="hecvat-v1-en.pdf"'
    assert file["X-Content-Type-Options"] == "nosniff"
    assert browser.get(f"/en/due-diligence/{published.pk}/fr/").status_code == 404
    with zipfile.ZipFile(io.BytesIO(browser.get("/en/due-diligence/all.zip").content)) as archive:
        assert set(archive.namelist()) == {"hecvat-v1-en.pdf", "SHA256SUMS"}


@pytest.mark.usefixtures("terms")
def test_it_stands_beside_the_agreement_that_waits_for_a_signature(
    cast: Cast, published: DiligenceVersion, birch: Institution, at: datetime
) -> None:
    with consortium_scope(Scope.COMMAND):
        agreement = offered(birch, by=cast.stranger, staff=cast.staff, at=at)
    page = text_of(signed_in(cast.stranger).get(f"/fr/i/birch/agreements/{agreement.pk}/"))
    assert "Réponses au HECVAT" in page
    assert f"/fr/due-diligence/{published.pk}/en/" in page


def test_a_member_reads_it_and_a_visitor_signs_in_first(cast: Cast, published: DiligenceVersion) -> None:
    assert "HECVAT answers" in text_of(signed_in(cast.viewer).get("/en/due-diligence/"))
    assert Client().get("/en/due-diligence/").status_code == 302
    assert Client().get(f"/en/due-diligence/{published.pk}/en/").status_code == 302


@pytest.mark.parametrize("role", ["finance", "operator", "auditor"])
def test_other_staff_only_look(cast: Cast, published: DiligenceVersion, role: str) -> None:
    StaffSeat.objects.filter(user=cast.staff).exclude(role=role).delete()
    browser = signed_in(cast.staff)
    assert browser.get(f"{LIST}{published.document_id}/change/").status_code == 200
    assert publish(browser, published.document) == 403
    assert browser.post(f"{LIST}add/", DOCUMENT | {"slug": "other"}).status_code == 403


def test_a_reviewer_sees_the_checks_and_confirms_an_entry(cast: Cast, waiting: Application) -> None:
    browser, url = signed_in(cast.staff), f"/en/staff/members/application/{waiting.pk}"
    page = browser.get(f"{url}/change/").content.decode()
    for words in ("Business number", "none given", "verify the person first", "reviewer, ", "B3H 4R2"):
        assert words in page
    assert browser.get(f"{url}/act/confirm/").status_code == 403  # it is confirmed
    alder = Institution.objects.create(
        slug="alder", name_en="Alder", domain="alder.example", zone="America/Toronto", confirmed=False
    )
    with consortium_scope(Scope.COMMAND):
        Application.objects.create(institution=alder, applicant=cast.stranger, created_at=now())
        row = Application.objects.get(institution=alder)
        Application.objects.filter(pk=row.pk).update(status="submitted", submitted_at=now())
    url = f"/en/staff/members/application/{row.pk}/act/confirm/"
    assert 'value="alder.example"' in browser.get(url).content.decode()
    entry = {
        "name_en": "Alder College",
        "city": "Alderton",
        "country": "CA",
        "province": "ON",
        "domain": "alder.example",
    }
    assert browser.post(url, entry | {"zone": "Mars", "slug": "alder"}).status_code == 422
    assert browser.post(url, entry | {"zone": "America/Toronto", "slug": "alder"}).status_code == 302
    alder.refresh_from_db()
    assert (alder.name_en, alder.confirmed) == ("Alder College", True)


def test_an_approval_can_be_left_for_negotiation(cast: Cast, waiting: Application) -> None:
    url = f"/en/staff/members/application/{waiting.pk}/act/approve/"
    browser = signed_in(cast.staff)
    assert "Ben Registrar, registrar@birch.example: has no account" in browser.get(url).content.decode()
    assert browser.post(url, {"starts_on": "2026-10-01", "negotiate": "on"}).status_code == 302
    with consortium_scope(Scope.COMMAND):
        agreement = Application.objects.get(pk=waiting.pk).institution.agreements.get()
    assert agreement.status == "draft"
