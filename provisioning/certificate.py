"""The decommission certificate: what of a hub was exported and what was ended, when, as a PDF in either language."""

from collections.abc import Iterable
from datetime import datetime

from django.template.loader import render_to_string
from django.utils import translation

from consortium.kernel.pdf import write_pdf
from consortium.models import Document
from provisioning.gateways.base import Observed
from provisioning.models import Hub

SHEET = "documents/document.css"


def certificate_pdf(hub: Hub, kept: Iterable[Document], seen: Observed, *, language: str, at: datetime) -> bytes:
    """Will draw the certificate; `seen` is what the cluster answered after the end."""
    with translation.override(language):
        html = render_to_string(
            "documents/decommission.html",
            {"hub": hub, "kept": list(kept), "seen": seen, "language": language, "at": at},
        )
    return write_pdf(html, sheet=SHEET)
