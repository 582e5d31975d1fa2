"""The shipped directory of Canadian universities: public facts, loaded into the table of institutions.

Names, coordinates and domains are public facts keyed by ROR id. Ours are the slug (the first label of the domain), the
time zone (of the province), and the language people are first written to in: French where the English name of the
university is the French one.
"""

import csv
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from django.db import transaction

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Institution, User
from members.permissions import Permission, check_staff

SHIPPED: Final = Path(__file__).parent / "data" / "canadian_institutions.csv"


@dataclass(frozen=True)
class DirectoryLoad:
    """How many institutions were new, changed, or as they were."""

    created: int
    updated: int
    unchanged: int


def read_directory(path: Path = SHIPPED) -> list[dict[str, Any]]:
    """Read the file into values of `Institution`."""
    with path.open(encoding="utf-8", newline="") as file:
        return [_values(row) for row in csv.DictReader(file)]


@transaction.atomic
def load_directory(*, by: User | System, at: datetime, path: Path = SHIPPED) -> DirectoryLoad:
    """Make or refresh one institution for each ROR id of the file; a second load changes nothing."""
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    known = {institution.ror: institution for institution in Institution.objects.exclude(ror="")}
    created = updated = unchanged = 0
    with consortium_scope(Scope.COMMAND):
        for values in read_directory(path):
            institution = known.get(values["ror"])
            if institution is None:
                institution = Institution.objects.create(**values)
                created += 1
            elif all(getattr(institution, name) == value for name, value in values.items()):
                unchanged += 1
                continue
            else:
                Institution.objects.filter(pk=institution.pk).update(**values)
                updated += 1
            audit.record("members.institution_loaded", institution, by=by, at=at, institution_id=institution.pk)
    return DirectoryLoad(created, updated, unchanged)


def _values(row: dict[str, str]) -> dict[str, Any]:
    return {
        **row,
        "country": "CA",
        "latitude": Decimal(row["latitude"]),
        "longitude": Decimal(row["longitude"]),
        "language": "fr" if row["name_en"] == row["name_fr"] else "en",
    }
