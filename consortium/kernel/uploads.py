"""Files that people send: of a known kind, of a bounded size, and never shown by the browser as part of our pages.

A file is not scanned. So it is kept as it came and handed out as a download alone, of no type that a browser opens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import PurePath
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from consortium.kernel import documents
from consortium.kernel.errors import Invalid
from consortium.models import Document

MEGABYTE: Final = 1_000_000  # bytes
ENVELOPE: Final = 64 * 1024  # what a form itself may weigh around its files
Kinds = Mapping[str, tuple[str, tuple[bytes, ...]]]
# By ending: the media type, and how such a file may begin; text has no beginning, but no zero byte either.
KINDS: Final[Kinds] = {
    ".png": ("image/png", (b"\x89PNG\r\n\x1a\n",)),
    ".jpg": ("image/jpeg", (b"\xff\xd8\xff",)),
    ".jpeg": ("image/jpeg", (b"\xff\xd8\xff",)),
    ".gif": ("image/gif", (b"GIF87a", b"GIF89a")),
    ".webp": ("image/webp", (b"RIFF",)),
    ".pdf": ("application/pdf", (b"%PDF-",)),
    ".zip": ("application/zip", (b"PK\x03\x04",)),
    ".gz": ("application/gzip", (b"\x1f\x8b",)),
    ".txt": ("text/plain; charset=utf-8", ()),
    ".log": ("text/plain; charset=utf-8", ()),
    ".csv": ("text/csv; charset=utf-8", ()),
    ".json": ("application/json", ()),
    ".ipynb": ("application/json", ()),
}


@dataclass(frozen=True)
class Upload:
    """What was sent: the name it had, and its bytes."""

    name: str
    content: bytes


def media_type_of(upload: Upload, *, largest: int, field: str, kinds: Kinds = KINDS) -> str:
    """Will return the media type of a file that is what its name says, of at most `largest` bytes. Raises Invalid."""
    name = shown_name(upload.name)
    ending = PurePath(name).suffix.lower()
    if ending not in kinds:
        text = _("%(name)s cannot be taken. Send files of these kinds: %(kinds)s.")
        raise Invalid(text % {"name": name, "kinds": ", ".join(kinds)}, field=field)
    media, beginnings = kinds[ending]
    if not upload.content:
        raise Invalid(_("%(name)s is empty.") % {"name": name}, field=field)
    if len(upload.content) > largest:
        text = _("%(name)s is larger than %(most)d MB. Send a part of it, or say where we can fetch it.")
        raise Invalid(text % {"name": name, "most": largest // MEGABYTE}, field=field)
    is_right = upload.content.startswith(beginnings) if beginnings else b"\x00" not in upload.content
    if not is_right:
        raise Invalid(_("%(name)s is not what its name says it is.") % {"name": name}, field=field)
    return media


def shown_name(name: str) -> str:
    """Will return the last part of a file's name without what cannot be seen, at most 120 characters of it."""
    last = PurePath(name.replace("\\", "/")).name
    clean = "".join(sign for sign in last if sign.isprintable()).strip() or "file"
    stem, dot, ending = clean.rpartition(".")
    return f"{stem[: 119 - len(ending)]}.{ending}" if dot and len(ending) < 20 else clean[:120]


def as_download(document: Document) -> HttpResponse:
    """Will answer with a stored file that a browser saves and never shows. Raises DocumentDamaged."""
    response = HttpResponse(documents.read(document), content_type="application/octet-stream")
    response["Content-Disposition"] = content_disposition_header(True, document.name) or "attachment"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


def bounded_upload(most: int) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Answer 413 to a request of more than `most` bytes before any of it is read, then check its token as usual.

    The check of the token reads the form, and with it every file; so the size is looked at first.
    """

    def wrap(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        guarded = csrf_protect(view)

        @csrf_exempt
        @wraps(view)
        def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if int(request.META.get("CONTENT_LENGTH") or 0) > most + ENVELOPE:
                return render(request, "413.html", {"most": most // MEGABYTE}, status=413)
            return guarded(request, *args, **kwargs)

        return page

    return wrap
