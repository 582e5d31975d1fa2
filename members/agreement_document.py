"""The agreement as people read it: clauses from Markdown, the schedule as tables, both languages as PDF.

Clauses are written by staff, but rendered as if a stranger had written them: no raw HTML, sanitised, and nothing is
fetched while the PDF is made.
"""

from typing import Final
from uuid import UUID

import nh3
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt

from consortium.kernel import documents
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.jobs import Run, job_kind
from consortium.kernel.language import LANGUAGES, bilingual
from consortium.kernel.pdf import write_pdf
from consortium.kernel.signing import sign_pdf
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Document
from members.agreements import content_sha256
from members.models import Agreement, Signature
from members.schedule_table import schedule_parts

KIND: Final = "agreement"
TAGS: Final = frozenset(
    {"p", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "strong", "em", "blockquote", "br", "hr", "code"}
)
SHEET: Final = "documents/agreement.css"


def clauses_html(markdown: str, *, level: int = 2) -> SafeString:
    """Will turn Markdown clauses into safe HTML whose highest heading is `level`; links and images are dropped."""
    reader = MarkdownIt("commonmark", {"html": False})
    tokens = reader.parse(markdown)
    headings = [int(token.tag[1]) for token in tokens if token.type == "heading_open"]
    shift = level - min(headings, default=level)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + shift, 6)}"
    html = reader.renderer.render(tokens, reader.options, {})
    return mark_safe(nh3.clean(html, tags=set(TAGS), attributes={}))  # noqa: S308 - just sanitised


def agreement_html(agreement: Agreement, *, language: str) -> str:
    """Will write the document of an agreement, with its signatures, as HTML for the PDF."""
    signatures = Signature.objects.filter(agreement=agreement).order_by("at")
    with translation.override(language):
        return render_to_string(
            "documents/agreement.html",
            {
                "agreement": agreement,
                "language": language,
                "title": bilingual(agreement, "title", language),
                "clauses": clauses_html(bilingual(agreement, "clauses", language)),
                "parts": schedule_parts(agreement, language=language),
                "signatures": signatures,
                "sha256": content_sha256(agreement),
                "verify_url": settings.PUBLIC_URL + reverse("verify_document"),
            },
        )


def agreement_pdf(agreement: Agreement, *, language: str) -> bytes:
    """Will draw the PDF of an agreement in one language: tagged, and without fetching anything."""
    return write_pdf(agreement_html(agreement, language=language), sheet=SHEET)


def agreement_documents(agreement: Agreement) -> dict[str, Document]:
    """The stored PDFs by language; empty until the job has made them."""
    stored = Document.objects.filter(subject_type="members.Agreement", subject_id=str(agreement.pk), kind=KIND)
    return {document.language: document for document in stored}


@job_kind("render_agreement")
def render_agreement(run: Run) -> dict[str, str]:
    """Store the signed PDF of an agreement in each language; starting over finds those that are there."""
    agreement_id = UUID(run.arguments["agreement_id"])
    hashes = {}
    for done, language in enumerate(LANGUAGES):
        run.report(f"agreement.{language}", done=done, total=len(LANGUAGES))
        hashes[language] = _store(agreement_id, language).sha256
        crash_point("agreement.rendered")
    run.report("agreement.stored", done=len(LANGUAGES), total=len(LANGUAGES))
    return hashes


def _store(agreement_id: UUID, language: str) -> Document:
    with consortium_scope(Scope.JOB):
        agreement = Agreement.objects.select_related("institution", "issuer").get(pk=agreement_id)
        existing = agreement_documents(agreement).get(language)
        if existing is not None:
            return existing
        with translation.override(language):
            name = _("agreement-%(slug)s-v%(version)d-%(language)s.pdf") % {
                "slug": agreement.institution.slug,
                "version": agreement.version,
                "language": language,
            }
            reason = _("Agreement with %(university)s") % {
                "university": bilingual(agreement.institution, "name", language)
            }
        return documents.store(
            sign_pdf(agreement_pdf(agreement, language=language), reason=reason),
            kind=KIND,
            name=name,
            media_type="application/pdf",
            subject=agreement,
            institution_id=agreement.institution_id,
            at=now(),
            language=language,
        )
