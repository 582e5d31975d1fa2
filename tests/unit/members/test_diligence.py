"""The due-diligence pack: dated versions, files that are what they say, and what PostgreSQL keeps."""

import hashlib
import io
import zipfile
from datetime import date, datetime, timedelta

import pytest
from django.db import IntegrityError, InternalError, transaction

from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import institution_scope
from members.diligence import (
    PackFile,
    add_document,
    current_pack,
    may_read,
    overdue_documents,
    pack_archive,
    pack_file,
    publish_version,
    restore_document,
    retire_document,
)
from members.models import DiligenceDocument, DiligenceVersion, Institution
from members.onboarding import start_application
from tests.cast import Cast

pytestmark = pytest.mark.usefixtures("scope")

TODAY = date(2026, 10, 15)
NEXT = date(2027, 10, 1)
PDF = PackFile("answers.PDF", b"%PDF-1.7 the answers")
TEXT = PackFile("reponses.txt", "Les réponses".encode())


@pytest.fixture
def hecvat(cast: Cast, at: datetime) -> DiligenceDocument:
    return add_document(
        slug="hecvat",
        kind="hecvat",
        title_en="HECVAT answers",
        title_fr="Réponses au HECVAT",
        description_en="",
        description_fr="",
        review_on=NEXT,
        by=cast.staff,
        at=at,
    )


def publish(document: DiligenceDocument, cast: Cast, at: datetime, **files: PackFile) -> DiligenceVersion:
    return publish_version(document, files=files, dated=TODAY, review_on=NEXT, by=cast.staff, at=at)


def test_readers_see_the_newest_version_in_each_of_its_languages(
    cast: Cast, hecvat: DiligenceDocument, at: datetime
) -> None:
    assert current_pack(on=TODAY) == []  # nothing to read yet
    publish(hecvat, cast, at, en=PDF)
    second = publish(hecvat, cast, at, en=PDF, fr=TEXT)
    with institution_scope(cast.university.pk):  # a member's page sees the consortium's files
        [entry] = current_pack(on=TODAY)
    assert (entry.version.number, entry.overdue) == (2, False)
    assert [file.name for file in entry.files.values()] == ["hecvat-v2-en.pdf", "hecvat-v2-fr.txt"]
    found = pack_file(second, "fr")
    assert found is not None
    assert found[1] == TEXT.content
    assert pack_file(second, "de") is None


def test_the_zip_holds_every_file_with_its_hash_and_is_the_same_each_time(
    cast: Cast, hecvat: DiligenceDocument, at: datetime
) -> None:
    publish(hecvat, cast, at, en=PDF, fr=TEXT)
    content = pack_archive(on=TODAY)
    assert content == pack_archive(on=TODAY + timedelta(days=1))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("hecvat-v1-en.pdf") == PDF.content
        sums = archive.read("SHA256SUMS").decode().splitlines()
    assert f"{hashlib.sha256(TEXT.content).hexdigest()}  hecvat-v1-fr.txt" in sums


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"files": {}}, "file_en"),
        ({"files": {"de": PDF}}, "file_en"),
        ({"files": {"en": PackFile("page.html", b"<h1>")}}, "file_en"),
        ({"files": {"fr": PackFile("a.pdf", b"MZ")}}, "file_fr"),
        ({"files": {"fr": PackFile("a.pdf", b"")}}, "file_fr"),
        ({"files": {"en": PackFile("a.txt", b"a\x00b")}}, "file_en"),
        ({"files": {"en": PackFile("a.pdf", b"%PDF-" + b" " * 20_000_000)}}, "file_en"),
        ({"dated": TODAY + timedelta(days=1)}, "dated"),
        ({"review_on": TODAY}, "review_on"),
    ],
)
def test_what_is_no_version_is_refused_with_its_reason(
    cast: Cast, hecvat: DiligenceDocument, at: datetime, changes: dict[str, object], field: str
) -> None:
    values: dict[str, object] = {"files": {"en": PDF}, "dated": TODAY, "review_on": NEXT}
    with pytest.raises(Invalid) as refused:
        publish_version(hecvat, **values | changes, by=cast.staff, at=at)  # type: ignore[arg-type]
    assert refused.value.field == field
    assert not DiligenceVersion.objects.exists()


def test_a_retired_document_is_out_of_the_pack_and_may_come_back(
    cast: Cast, hecvat: DiligenceDocument, at: datetime
) -> None:
    version = publish(hecvat, cast, at, en=PDF)
    retire_document(hecvat, by=cast.staff, at=at)
    assert current_pack(on=TODAY) == []
    assert pack_file(DiligenceVersion.objects.get(pk=version.pk), "en") is None
    with pytest.raises(TransitionRefused):
        retire_document(hecvat, by=cast.staff, at=at)
    restore_document(hecvat, by=cast.staff, at=at)
    assert len(current_pack(on=TODAY)) == 1


def test_a_review_that_is_overdue_is_known_until_the_next_version(
    cast: Cast, hecvat: DiligenceDocument, at: datetime
) -> None:
    publish(hecvat, cast, at, en=PDF)
    assert list(overdue_documents(NEXT - timedelta(days=1))) == []
    assert list(overdue_documents(NEXT)) == [hecvat]
    assert current_pack(on=NEXT)[0].overdue
    later = datetime(2027, 10, 2, tzinfo=at.tzinfo)
    publish_version(hecvat, files={"en": PDF}, dated=NEXT, review_on=date(2028, 1, 1), by=cast.staff, at=later)
    assert list(overdue_documents(NEXT)) == []


@pytest.mark.parametrize("name", ["owner", "technical", "stranger"])
def test_only_reviewers_keep_the_pack(cast: Cast, hecvat: DiligenceDocument, at: datetime, name: str) -> None:
    person = cast.person(name)
    with pytest.raises(Forbidden):
        publish_version(hecvat, files={"en": PDF}, dated=TODAY, review_on=NEXT, by=person, at=at)
    with pytest.raises(Forbidden):
        retire_document(hecvat, by=person, at=at)


def test_applicants_members_and_staff_read_it(cast: Cast, birch: Institution, at: datetime) -> None:
    readers = {name for name in ("owner", "viewer", "staff", "stranger") if may_read(cast.person(name))}
    assert readers == {"owner", "viewer", "staff"}
    start_application(institution=birch, by=cast.stranger, at=at)
    assert may_read(cast.stranger)


def test_postgresql_keeps_versions_as_they_were(cast: Cast, hecvat: DiligenceDocument, at: datetime) -> None:
    version = publish(hecvat, cast, at, en=PDF)
    twin = DiligenceVersion(document=hecvat, number=1, dated=TODAY, published_at=at)
    for change in (
        version.delete,
        lambda: DiligenceVersion.objects.update(dated=NEXT),
        twin.save,
        lambda: DiligenceDocument.objects.update(kind="gossip"),
        lambda: DiligenceDocument.objects.update(status="deleted"),
    ):
        with pytest.raises((IntegrityError, InternalError)), transaction.atomic():
            change()
