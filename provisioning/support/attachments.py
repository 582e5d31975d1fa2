"""Files sent with a message of support: documents of that message, handed out as downloads alone."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from consortium.kernel import documents
from consortium.kernel.errors import Invalid
from consortium.kernel.uploads import MEGABYTE, Upload, media_type_of, shown_name
from consortium.models import Document
from provisioning.models import SupportMessage, SupportRequest

MOST_FILES: Final = 5
LARGEST: Final = 10 * MEGABYTE
LARGEST_IN_ALL: Final = 25 * MEGABYTE


def check_files(files: Sequence[Upload]) -> list[str]:
    """Will return the media type of each file. Raises Invalid for too many, too large, or what no name says."""
    if len(files) > MOST_FILES:
        raise Invalid(_("Send at most %(most)d files at once.") % {"most": MOST_FILES}, field="attachments")
    if sum(len(each.content) for each in files) > LARGEST_IN_ALL:
        text = _("The files are larger than %(most)d MB in all. Send a part of them.")
        raise Invalid(text % {"most": LARGEST_IN_ALL // MEGABYTE}, field="attachments")
    return [media_type_of(each, largest=LARGEST, field="attachments") for each in files]


def keep_files(message: SupportMessage, files: Sequence[Upload], *, at: datetime) -> list[Document]:
    """Will keep the files with the message. Raises Invalid."""
    return [
        documents.store(
            each.content,
            kind=f"support_{number}",
            name=shown_name(each.name),
            media_type=media_type,
            subject=message,
            institution_id=message.institution_id,
            at=at,
        )
        for number, (each, media_type) in enumerate(zip(files, check_files(files), strict=True), start=1)
    ]


def files_of(messages: Iterable[SupportMessage]) -> "QuerySet[Document]":
    """Will return the files of these messages, in their order."""
    label = SupportMessage._meta.label  # noqa: SLF001 - the model's public name
    keys = [str(message.pk) for message in messages]
    return Document.objects.filter(subject_type=label, subject_id__in=keys).order_by("subject_id", "kind")


def file_of(request: SupportRequest, key: UUID, *, internal: bool) -> Document | None:
    """Will return one file of a request; those of staff's notes only where `internal`."""
    messages = SupportMessage.objects.filter(request=request)
    shown = messages if internal else messages.filter(internal=False)
    return files_of(shown).filter(pk=key).first()
