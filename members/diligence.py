"""The due-diligence pack: documents that staff keep current in dated versions, and who may read them.

Files are the consortium's own rows of the kernel's documents, so they belong to no institution.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePath
from typing import Final

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils.translation import gettext as _

from consortium.kernel import audit, documents
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid
from consortium.kernel.language import LANGUAGES
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Document
from members.models import Application, DiligenceDocument, DiligenceVersion, Seat, User
from members.permissions import Permission, check_staff
from members.states import DILIGENCE

KIND: Final = "due_diligence"
LARGEST: Final = 20_000_000  # bytes
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
MEDIA: Final[Mapping[str, tuple[str, bytes]]] = {  # by ending: the media type, and how such a file begins
    ".pdf": ("application/pdf", b"%PDF-"),
    ".xlsx": (f"{_OFFICE}spreadsheetml.sheet", b"PK\x03\x04"),
    ".docx": (f"{_OFFICE}wordprocessingml.document", b"PK\x03\x04"),
    ".ods": ("application/vnd.oasis.opendocument.spreadsheet", b"PK\x03\x04"),
    ".odt": ("application/vnd.oasis.opendocument.text", b"PK\x03\x04"),
    ".txt": ("text/plain; charset=utf-8", b""),
}


@dataclass(frozen=True)
class PackFile:
    """What is uploaded: the name it had, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class PackEntry:
    """A document of the pack as its readers see it: its newest version, with its files by language."""

    document: DiligenceDocument
    version: DiligenceVersion
    files: dict[str, Document]
    overdue: bool


@transaction.atomic
def add_document(
    *,
    slug: str,
    kind: str,
    title_en: str,
    title_fr: str,
    description_en: str,
    description_fr: str,
    review_on: date,
    by: User | System,
    at: datetime,
) -> DiligenceDocument:
    """Add a document to the pack; readers see it from its first version on. Raises Forbidden."""
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    document = DiligenceDocument.objects.create(
        slug=slug,
        kind=kind,
        title_en=title_en,
        title_fr=title_fr,
        description_en=description_en,
        description_fr=description_fr,
        review_on=review_on,
        created_at=at,
    )
    audit.record("members.diligence_added", document, by=by, at=at, institution_id=None, after={"slug": slug})
    return document


@transaction.atomic
def publish_version(
    document: DiligenceDocument,
    *,
    files: Mapping[str, PackFile],
    dated: date,
    review_on: date,
    by: User | System,
    at: datetime,
) -> DiligenceVersion:
    """Publish the next version, with a file in one language or in each; earlier versions stay in the records.

    `dated` is the day that the document bears, `review_on` the day by which somebody looks at it again.
    Raises Forbidden, and Invalid for no file, a file that is too large or not what its name says, and for dates that
    cannot be.
    """
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    if not files or not set(files) <= set(LANGUAGES):
        raise Invalid(_("Choose a file in English, in French, or both."), field="file_en")
    media = {language: _media_type(file, f"file_{language}") for language, file in files.items()}
    if dated > at.date():
        raise Invalid(_("A document cannot bear a day that is still to come."), field="dated")
    if review_on <= at.date():
        raise Invalid(_("Choose a day in the future for the next review."), field="review_on")
    locked = DiligenceDocument.objects.select_for_update().get(pk=document.pk)
    newest = locked.versions.aggregate(newest=Max("number"))["newest"] or 0
    version = DiligenceVersion.objects.create(
        document=locked,
        number=newest + 1,
        dated=dated,
        published_by=by if isinstance(by, User) else None,
        published_at=at,
    )
    for language, file in files.items():
        ending = PurePath(file.name).suffix.lower()
        documents.store(
            file.content,
            kind=KIND,
            name=f"{locked.slug}-v{version.number}-{language}{ending}",
            media_type=media[language],
            subject=version,
            institution_id=None,
            at=at,
            language=language,
        )
    DiligenceDocument.objects.filter(pk=locked.pk).update(review_on=review_on)
    document.review_on = review_on
    after: dict[str, audit.Fact] = {"version": version.number, "dated": dated, "review_on": review_on}
    audit.record("members.diligence_published", version, by=by, at=at, institution_id=None, after=after)
    return version


def _media_type(file: PackFile, field: str) -> str:
    ending = PurePath(file.name).suffix.lower()
    if ending not in MEDIA:
        endings = ", ".join(MEDIA)
        raise Invalid(_("Choose a file of one of these kinds: %(kinds)s.") % {"kinds": endings}, field=field)
    media, beginning = MEDIA[ending]
    if not file.content:
        raise Invalid(_("The file is empty."), field=field)
    if len(file.content) > LARGEST:
        raise Invalid(_("The file is larger than 20 MB."), field=field)
    if not file.content.startswith(beginning) or (not beginning and b"\x00" in file.content):
        raise Invalid(_("The file is not what its name says it is."), field=field)
    return media


@transaction.atomic
def retire_document(document: DiligenceDocument, *, by: User | System, at: datetime) -> None:
    """Take a document out of the pack; nothing of it is deleted."""
    _move(document, "retired", by, at)


@transaction.atomic
def restore_document(document: DiligenceDocument, *, by: User | System, at: datetime) -> None:
    """Put a retired document back into the pack."""
    _move(document, "current", by, at)


def _move(document: DiligenceDocument, to: str, by: User | System, at: datetime) -> None:
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    DILIGENCE.move(document, to)
    audit.record(f"members.diligence_{to}", document, by=by, at=at, institution_id=None, after={"status": to})


def overdue_documents(on: date) -> "QuerySet[DiligenceDocument]":
    """The documents of the pack that somebody should have looked at by that day."""
    return DiligenceDocument.objects.filter(status="current", review_on__lte=on)


def may_read(user: User) -> bool:
    """Tell whether the pack is open to the person: applicants, people with a seat, staff. Needs Scope.APPLICANT."""
    return (
        user.is_staff
        or Application.objects.filter(applicant=user).exists()
        or Seat.objects.filter(user=user, ended_at=None).exists()
    )


def current_pack(*, on: date) -> list[PackEntry]:
    """Return the pack as it is on a day: the newest version of each document that has one. Opens its own scope."""
    current = DiligenceDocument.objects.filter(status="current")
    newest = DiligenceVersion.objects.filter(document__in=current).select_related("document")
    versions = list(newest.order_by("document_id", "-number").distinct("document_id"))
    files: dict[str, dict[str, Document]] = {}
    with consortium_scope(Scope.PUBLIC):
        for stored in _files([str(version.pk) for version in versions]):
            files.setdefault(stored.subject_id, {})[stored.language] = stored
    entries = [
        PackEntry(
            document=version.document,
            version=version,
            files=files.get(str(version.pk), {}),
            overdue=version.document.review_on <= on,
        )
        for version in versions
    ]
    order = [kind for kind, _words in DiligenceDocument._meta.get_field("kind").choices or ()]  # noqa: SLF001
    return sorted(entries, key=lambda entry: (order.index(entry.document.kind), entry.document.title))


def _files(versions: list[str]) -> "QuerySet[Document]":
    label = DiligenceVersion._meta.label  # noqa: SLF001 - the model's public name
    return Document.objects.filter(subject_type=label, subject_id__in=versions, kind=KIND).order_by("language")


def pack_file(version: DiligenceVersion, language: str) -> tuple[Document, bytes] | None:
    """Return one file with its checked bytes; None where the version has none in that language, or is retired."""
    if version.document.status != "current":
        return None
    with consortium_scope(Scope.PUBLIC):
        stored = _files([str(version.pk)]).filter(language=language).first()
    return (stored, documents.read(stored)) if stored else None


def pack_archive(*, on: date) -> bytes:
    """Return the whole pack as a zip with a list of its files and their SHA-256. The same pack gives the same bytes."""
    buffer, lines = io.BytesIO(), []
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in current_pack(on=on):
            for stored in entry.files.values():
                _put(archive, stored.name, documents.read(stored), entry.version.dated)
                lines.append(f"{stored.sha256}  {stored.name}")
        _put(archive, "SHA256SUMS", ("\n".join(lines) + "\n").encode(), date(1980, 1, 1))
    return buffer.getvalue()


def _put(archive: zipfile.ZipFile, name: str, content: bytes, day: date) -> None:
    information = zipfile.ZipInfo(name, (max(day.year, 1980), day.month, day.day, 0, 0, 0))
    information.compress_type = zipfile.ZIP_DEFLATED
    information.external_attr = 0o644 << 16
    archive.writestr(information, content)
