"""Files that were written once: first the bytes, durable, then the row that vouches for them."""

import hashlib
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.db import IntegrityError, models, transaction

from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.models import Document


class DocumentDamaged(PortalError):
    """The stored bytes are not the ones that were written."""

    code = "document_damaged"
    status = 500


class DocumentGone(PortalError):
    """The file was deleted, as was agreed; its row still says what it was."""

    code = "document_gone"
    status = 410


def store(
    content: bytes,
    *,
    kind: str,
    name: str,
    media_type: str,
    subject: models.Model,
    institution_id: UUID | None,
    at: datetime,
    language: str = "",
) -> Document:
    """Keep `content` as the document of this kind and language of `subject`; a second call returns the first one.

    A crash between file and row leaves a file without a row, never a row without its file.
    """
    about = {
        "subject_type": subject._meta.label,  # noqa: SLF001 - the model's public name
        "subject_id": str(subject.pk),
        "kind": kind,
        "language": language,
    }
    if existing := Document.objects.filter(**about).first():
        return existing
    folder = str(institution_id) if institution_id else "consortium"
    key = default_storage.save(f"{folder}/{at:%Y/%m}/{uuid4().hex}", ContentFile(content))
    crash_point("document.stored")
    try:
        with transaction.atomic():
            return Document.objects.create(
                **about,
                institution_id=institution_id,
                name=name,
                media_type=media_type,
                sha256=hashlib.sha256(content).hexdigest(),
                size=len(content),
                storage_key=key,
                created_at=at,
            )
    except IntegrityError:
        default_storage.delete(key)
        return Document.objects.get(**about)


def store_file(path: Path, *, kind: str, name: str, media_type: str, subject: models.Model, at: datetime) -> Document:
    """Keep a file of any size as the consortium's document of this kind of `subject`, a piece at a time.

    A second call returns the first document. The caller's transaction decides about the row; a file whose row was
    rolled back stays behind unseen.
    """
    about = {
        "subject_type": subject._meta.label,  # noqa: SLF001 - the model's public name
        "subject_id": str(subject.pk),
        "kind": kind,
        "language": "",
    }
    if existing := Document.objects.filter(**about).first():
        return existing
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        key = default_storage.save(f"consortium/{at:%Y/%m}/{uuid4().hex}", File(stream))
    crash_point("document.stored")
    return Document.objects.create(
        **about,
        institution_id=None,
        name=name,
        media_type=media_type,
        sha256=sha256,
        size=path.stat().st_size,
        storage_key=key,
        created_at=at,
    )


def read(document: Document) -> bytes:
    """Return the bytes, after checking them against the hash. Raises DocumentDamaged, DocumentGone."""
    try:
        with default_storage.open(document.storage_key) as file:
            content = bytes(file.read())
    except FileNotFoundError:
        raise DocumentGone(f"{document.name} is not kept any more.") from None
    if hashlib.sha256(content).hexdigest() != document.sha256:
        raise DocumentDamaged(f"{document.name} does not match its recorded hash. Restore it from the backup.")
    return content
