"""What is signed: the hash of everything that the two sides agree on."""

import hashlib
import json
from typing import Any

from members.models import Agreement


def content_sha256(agreement: Agreement) -> str:
    """Return the hash, as hex, of everything the two sides agree on, in canonical JSON.

    It hashes what is stored: a schedule that was signed before a term existed keeps its hash for ever.
    """
    content: dict[str, Any] = {
        "institution": str(agreement.institution_id),
        "issuer": str(agreement.issuer_id),
        "version": agreement.version,
        "title": [agreement.title_en, agreement.title_fr],
        "clauses": [agreement.clauses_en, agreement.clauses_fr],
        "schedule": agreement.schedule,
        "currency": agreement.currency,
        "zone": agreement.zone,
        "starts_on": agreement.starts_on.isoformat(),
        "ends_on": agreement.ends_on.isoformat() if agreement.ends_on else None,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
