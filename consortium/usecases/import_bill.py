"""A cloud bill comes in: its rows may name any institution or hub that the portal knows."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from billing import bills
from billing.models import BillImport
from members.models import Institution, Issuer, User
from provisioning.models import Hub


def known_slugs() -> dict[str, UUID]:
    """Every name a row may carry: institutions' and hubs' slugs, to institutions. Needs a consortium scope."""
    slugs = dict(Institution.objects.values_list("slug", "pk"))
    slugs.update(Hub.objects.values_list("slug", "institution_id"))
    return slugs


def import_bill(
    path: Path,
    *,
    issuer: Issuer,
    charged_month: str,
    by: User,
    at: datetime,
    create_account: bool = False,
    progress: Callable[[int], None] | None = None,
) -> BillImport:
    """Import a FOCUS bill as billing.bills.import_bill does, with the names of today. Needs a consortium scope."""
    return bills.import_bill(
        path,
        issuer=issuer,
        charged_month=charged_month,
        by=by,
        at=at,
        slugs=known_slugs(),
        create_account=create_account,
        progress=progress,
    )
