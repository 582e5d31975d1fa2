"""Files are whole or not there; secrets open for their owner only; dated facts hold one at a time."""

import errno
import os
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import IntegrityError, transaction

from consortium.kernel import dated, documents, secrets
from consortium.kernel.storage import DurableFileStorage
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Document
from members.models import TaxRegistration
from tests.cast import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(documents, "default_storage", DurableFileStorage(location=tmp_path))
    return tmp_path


def store(cast: Cast, at: datetime, content: bytes = b"whole") -> Document:
    with consortium_scope(Scope.JOB):
        return documents.store(
            content, kind="note", name="note.txt", media_type="text/plain", subject=cast.university,
            institution_id=cast.university.pk, at=at,
        )  # fmt: skip


def test_a_document_is_written_once(cast: Cast, at: datetime, own_folder: Path) -> None:
    first = store(cast, at)
    second = store(cast, at, b"another text")
    assert first.pk == second.pk
    assert documents.read(first) == b"whole"
    assert len([file for file in own_folder.rglob("*") if file.is_file()]) == 1


def test_a_changed_file_is_not_handed_out(cast: Cast, at: datetime, own_folder: Path) -> None:
    document = store(cast, at)
    (own_folder / document.storage_key).write_bytes(b"forged")
    with pytest.raises(documents.DocumentDamaged, match="does not match its recorded hash"):
        documents.read(document)


def test_a_full_disk_leaves_neither_row_nor_file(
    cast: Cast, at: datetime, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store(cast, at)
    assert [file for file in own_folder.rglob("*") if file.is_file()] == []
    with consortium_scope(Scope.JOB):
        assert not Document.objects.exists()


def test_a_secret_opens_for_its_owner_only() -> None:
    sealed = secrets.seal(b"key", owner="institution:1")
    assert secrets.unseal(sealed, owner="institution:1") == b"key"
    with pytest.raises(secrets.SecretUnreadable, match="belongs to another row"):
        secrets.unseal(sealed, owner="institution:2")


def test_keys_are_rotated_without_losing_a_secret(settings: Any) -> None:
    sealed = secrets.seal(b"key", owner="x")
    settings.FIELD_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_KEYS]
    assert secrets.unseal(sealed, owner="x") == b"key"
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    with pytest.raises(secrets.SecretUnreadable, match="FIELD_KEYS"):
        secrets.unseal(sealed, owner="x")


def registered(cast: Cast, valid: Any) -> TaxRegistration:
    with transaction.atomic():
        return TaxRegistration.objects.create(issuer=cast.issuer, tax="GST", jurisdiction="CA", number="1", valid=valid)


def test_two_dated_facts_never_hold_on_one_day(cast: Cast) -> None:
    first = registered(cast, (date(2026, 1, 1), date(2026, 7, 1)))
    with pytest.raises(IntegrityError, match="taxregistration_one"):
        registered(cast, (date(2026, 6, 30), None))
    second = registered(cast, dated.since(date(2026, 7, 1)))
    rows = TaxRegistration.objects.filter(issuer=cast.issuer)
    assert dated.on(rows, date(2026, 6, 30)).pk == first.pk
    assert dated.on(rows, date(2026, 7, 1)).pk == second.pk
    with pytest.raises(dated.NotDated, match="2025-12-31"):
        dated.on(rows, date(2025, 12, 31))
