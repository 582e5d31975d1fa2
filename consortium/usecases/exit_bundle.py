"""What a leaving member takes away: every document that it may have, in one archive with the hash of each file.

Hubs' own exports (homes, take-away bundles) stay beside it, however large they are, and are named in the manifest.
"""

import io
import json
import zipfile
from datetime import datetime
from typing import Final

from django.db.models import QuerySet

from consortium.kernel import documents
from consortium.models import Document
from members.models import MemberExit
from provisioning.models import HubDay

KIND: Final = "exit_bundle"
CERTIFICATE: Final = "deletion_certificate"
HUB_EXPORTS: Final = ("take_away", "homes")
# What of a member's documents goes into the archive, by folder.
FOLDERS: Final = {
    "agreement": "agreements",
    "invoice": "invoices",
    "ubl": "invoices",
    "facturx": "invoices",
    "credit_note": "credit-notes",
    "receipt": "receipts",
    "decommission_certificate": "hubs",
    "deletion_certificate": "hubs",
}


def make_bundle(leaving: MemberExit, *, at: datetime) -> Document:
    """Will write the archive of an exit, once; a second call returns the first. Needs a scope over the member."""
    file = io.BytesIO()
    manifest: dict[str, object] = {"university": leaving.institution.slug, "last_day": leaving.last_day.isoformat()}
    entries = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for document in _documents(leaving):
            name = f"{FOLDERS[document.kind]}/{document.pk.hex[-8:]}-{document.name}"
            archive.writestr(name, documents.read(document))
            entries.append({"file": name, "sha256": document.sha256, "bytes": document.size})
        archive.writestr("usage.csv", _usage(leaving))
        manifest["files"] = entries
        manifest["hub_exports"] = [
            {"file": each.name, "sha256": each.sha256, "bytes": each.size} for each in hub_exports(leaving)
        ]
        archive.writestr("manifest.json", json.dumps(manifest, indent=2, sort_keys=True))
    return documents.store(
        file.getvalue(),
        kind=KIND,
        name=f"{leaving.institution.slug}-{leaving.last_day}.zip",
        media_type="application/zip",
        subject=leaving,
        institution_id=leaving.institution_id,
        at=at,
    )


def bundle_of(leaving: MemberExit) -> Document | None:
    """The archive, or None before it is made."""
    return _about(leaving).filter(kind=KIND).first()


def certificates_of(leaving: MemberExit) -> list[Document]:
    """The certificates of deletion, one for each language."""
    return list(_about(leaving).filter(kind=CERTIFICATE).order_by("language"))


def hub_exports(leaving: MemberExit) -> list[Document]:
    """What was exported of the member's hubs when they ended."""
    rows = Document.objects.filter(institution_id=leaving.institution_id, kind__in=HUB_EXPORTS)
    return list(rows.filter(subject_type="provisioning.Hub").order_by("created_at", "name"))


def files_of(leaving: MemberExit) -> list[Document]:
    """Everything of an exit that its owners may download now; what was deleted is not among it."""
    made = [*filter(None, [bundle_of(leaving)]), *certificates_of(leaving)]
    return made if leaving.status == "certified" else [*made, *hub_exports(leaving)]


def _about(leaving: MemberExit) -> QuerySet[Document]:
    return Document.objects.filter(subject_type="members.MemberExit", subject_id=str(leaving.pk))


def _documents(leaving: MemberExit) -> QuerySet[Document]:
    rows = Document.objects.filter(institution_id=leaving.institution_id, kind__in=FOLDERS)
    return rows.order_by("created_at", "id")


def _usage(leaving: MemberExit) -> str:
    """Hub-days as CSV; numbers and days only, so no cell can run."""
    rows = ["hub,day,server_seconds,memory_gib_seconds,active_users,sessions,gap_seconds"]
    found = HubDay.objects.filter(institution_id=leaving.institution_id)
    days = found.select_related("hub").order_by("hub__slug", "day")
    rows += [
        f"{day.hub.slug},{day.day},{day.server_seconds},{day.memory_gib_seconds},{day.active_users},"
        f"{day.sessions},{day.gap_seconds}"
        for day in days
    ]
    return "\r\n".join(rows) + "\r\n"
