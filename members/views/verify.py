"""Is this PDF the original? Anybody may ask, with the file or its SHA-256; the answer names nobody.

The file is hashed as it comes and not kept, and nothing in it is interpreted: garbage is simply not ours.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Document
from members.agreement_forms import VerifyForm
from members.models import Agreement, Institution
from members.queries import state_words

LARGEST: Final = 10 * 1024 * 1024
ENVELOPE: Final = 64 * 1024  # what the form itself may weigh around the file
HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is known of a hash; `kind` is empty for one that is not ours."""

    sha256: str
    kind: str = ""
    institution: str = ""
    language: str = ""
    made_at: datetime | None = None
    state: str = ""

    @property
    def is_ours(self) -> bool:
        """Tell whether these are the original bytes of a document of the consortium."""
        return bool(self.kind)


# No cookie gives authority here and nothing changes: no token is needed. Reading one would read the upload first.
@csrf_exempt
def verify_document(request: HttpRequest) -> HttpResponse:
    """Ask for a PDF or a hash, and say whether it is one of the consortium's documents, unchanged."""
    if request.method == "POST" and int(request.META.get("CONTENT_LENGTH") or 0) > LARGEST + ENVELOPE:
        return _page(request, VerifyForm(), problem=_too_large(), status=413)
    asked = request.GET.get("sha256", "")
    if request.method != "POST":
        form = VerifyForm({"sha256": asked} if asked else None)
    else:
        form = VerifyForm(request.POST, request.FILES)
    if not form.is_bound or not form.is_valid():
        return _page(request, form, status=422 if form.is_bound else 200)
    upload = form.cleaned_data["document"]
    if upload and upload.size > LARGEST:
        return _page(request, form, problem=_too_large(), status=413)
    if upload:
        digest = hashlib.sha256()
        for chunk in upload.chunks():
            digest.update(chunk)
        return _page(request, VerifyForm(), finding=find(digest.hexdigest()))
    typed = "".join(form.cleaned_data["sha256"].split()).lower()
    if not HASH.fullmatch(typed):
        words = _("A SHA-256 has 64 digits and letters a to f.") if typed else _("Choose a PDF, or type its SHA-256.")
        form.add_error("sha256" if typed else "document", words)
        return _page(request, form, status=422)
    return _page(request, form, finding=find(typed))


def find(sha256: str) -> Finding:
    """Say what document has these bytes, without any personal data."""
    with consortium_scope(Scope.PUBLIC):
        document = Document.objects.filter(sha256=sha256).first()
        if document is None:
            return Finding(sha256=sha256)
        institution = (
            Institution.objects.filter(pk=document.institution_id).first() if document.institution_id else None
        )
        state = ""
        if document.subject_type == "members.Agreement":
            row = Agreement.objects.filter(pk=document.subject_id).first()
            state = state_words(row.status) if row else ""
        return Finding(
            sha256=sha256,
            kind=_kind_words(document.kind),
            institution=institution.name if institution else "",
            language={"en": "English", "fr": "Français"}.get(document.language, ""),
            made_at=document.created_at,
            state=state,
        )


def _kind_words(kind: str) -> str:
    return {
        "agreement": _("Service agreement"),
        "invoice": _("Invoice"),
        "receipt": _("Receipt"),
        "credit_note": _("Credit note"),
        "statement": _("Statement"),
    }.get(kind, _("Document of the consortium"))


def _too_large() -> str:
    return _("The file is larger than 10 MB, which no document of the consortium is. Type its SHA-256 instead.")


def _page(
    request: HttpRequest, form: VerifyForm, *, finding: Finding | None = None, problem: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "form": form,
        "form_errors": bool(form.is_bound and form.errors),
        "finding": finding,
        "problem": problem,
    }
    return render(request, "members/verify.html", context, status=status)
