"""The decommission certificate: what of a hub was exported and what was ended, when, as a PDF in either language."""

from collections.abc import Iterable
from datetime import datetime

from django.template.loader import render_to_string
from django.utils import translation

from consortium.kernel.pdf import write_pdf
from consortium.models import Document
from provisioning.gateways.base import Observed
from provisioning.models import Cluster, Hub

SHEET = "documents/document.css"


def certificate_pdf(
    hub: Hub,
    kept: Iterable[Document],
    seen: Observed,
    *,
    language: str,
    at: datetime,
    snapshots: tuple[int, datetime | None] = (0, None),
) -> bytes:
    """Will draw the certificate; `seen` is what the cluster answered after the end.

    `snapshots` are how many volumes' are kept, and until when.
    """
    with translation.override(language):
        html = render_to_string(
            "documents/decommission.html",
            {
                "hub": hub,
                "kept": list(kept),
                "seen": seen,
                "language": language,
                "at": at,
                "snapshots": snapshots[0],
                "snapshots_until": snapshots[1],
            },
        )
    return write_pdf(html, sheet=SHEET)


def deletion_pdf(hub: Hub, cluster: Cluster, *, count: int, language: str, at: datetime) -> bytes:
    """Will draw the certificate that the snapshots of the hub's volumes are gone."""
    with translation.override(language):
        html = render_to_string(
            "documents/hub_deletion.html",
            {"hub": hub, "cluster": cluster, "count": count, "language": language, "at": at},
        )
    return write_pdf(html, sheet=SHEET)
