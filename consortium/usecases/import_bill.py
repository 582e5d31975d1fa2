"""A cloud bill comes in: its rows may name any institution or hub that the portal knows."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.db import transaction

from billing import bills
from billing.models import BillImport
from consortium.kernel.audit import System
from consortium.kernel.documents import store_file
from consortium.kernel.periods import Month
from consortium.usecases.watch_budgets import watch_budgets
from members.models import Institution, Issuer, User
from provisioning.models import Hub

SOURCE = "bill"  # the kind of document that a bill's own file is kept as


def known_slugs() -> dict[str, UUID]:
    """Every name a row may carry: institutions' and hubs' slugs, to institutions. Needs a consortium scope."""
    slugs = dict(Institution.objects.values_list("slug", "pk"))
    slugs.update(Hub.objects.values_list("slug", "institution_id"))
    return slugs


@transaction.atomic
def import_bill(
    path: Path,
    *,
    issuer: Issuer,
    charged_month: str = "",
    by: User | System,
    at: datetime,
    account: str = "",
    create_account: bool = False,
    is_rehearsal: bool = False,
    progress: Callable[[int], None] | None = None,
) -> BillImport:
    """Import a FOCUS bill as billing.bills.import_bill does, with the names of today, and keep its file.

    The file holds the columns that no row of ours does. Budgets are held against what the month costs now. A rehearsal,
    which the caller rolls back, does neither. Needs a consortium scope.
    """
    bill = bills.import_bill(
        path,
        issuer=issuer,
        charged_month=charged_month,
        by=by,
        at=at,
        slugs=known_slugs(),
        account=account,
        create_account=create_account,
        progress=progress,
    )
    arrived = [each for each in (bill, *bill.siblings) if not each.already_imported and not is_rehearsal]
    for each in arrived:
        store_file(path, kind=SOURCE, name=each.file_name[:200], media_type=_media_type(path), subject=each, at=at)
    for month in sorted({each.charged_month for each in arrived}):
        watch_budgets(month=Month.parse(month), at=at)
    return bill


def _media_type(path: Path) -> str:
    endings = {".gz": "application/gzip", ".parquet": "application/vnd.apache.parquet"}
    return endings.get(path.suffix.lower(), "text/csv")
