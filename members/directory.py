"""The shipped directory of Canadian universities: public facts, loaded into the table of institutions.

Names, coordinates and domains are public facts keyed by ROR id. Ours are the slug (the first label of the domain), the
time zone (of the province), and the language people are first written to in: French where the English name of the
university is the French one.
"""

import csv
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from babel.core import get_global
from django.db import IntegrityError, transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Institution, User
from members.permissions import Permission, check_staff

SHIPPED: Final = Path(__file__).parent / "data" / "canadian_institutions.csv"
# Where most of a province's people live; a reviewer who confirms an entry may know better.
ZONES: Final = {
    "BC": "America/Vancouver",
    "AB": "America/Edmonton",
    "SK": "America/Regina",
    "MB": "America/Winnipeg",
    "ON": "America/Toronto",
    "QC": "America/Toronto",
    "NB": "America/Moncton",
    "NS": "America/Halifax",
    "PE": "America/Halifax",
    "NL": "America/St_Johns",
    "YT": "America/Whitehorse",
    "NT": "America/Yellowknife",
    "NU": "America/Iqaluit",
}
_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"


class AlreadyListed(PortalError):
    """The directory has the university under that domain or ROR id; `institution` is it."""

    code = "already_listed"

    def __init__(self, institution: Institution) -> None:
        super().__init__(
            _("%(university)s is in the list already. Choose it there.") % {"university": institution.name}
        )
        self.institution = institution


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


def ror_id(text: str) -> str:
    """Will read a ROR id, also out of its web address; the empty string where its check digits do not hold."""
    found = re.sub(r"^(https?://)?(www\.)?(ror\.org/)?", "", text.strip().lower()).rstrip("/")
    if not re.fullmatch(r"0[0-9a-hj-km-np-tv-z]{6}[0-9]{2}", found):
        return ""
    number = 0
    for sign in found[:7]:
        number = number * 32 + _CROCKFORD.index(sign)
    return found if 98 - number * 100 % 97 == int(found[7:]) else ""


@transaction.atomic
def add_unlisted(
    *,
    name_en: str,
    name_fr: str,
    city: str,
    province: str,
    domain: str,
    country: str = "CA",
    ror: str = "",
    by: User,
    at: datetime,
) -> Institution:
    """Add a university that an applicant names; until a reviewer confirms it, nobody else finds it.

    Raises AlreadyListed where another entry has the domain, a domain above it, or the ROR id; also when two applicants
    add the same one at the same moment.
    """
    from members.access import suffixes  # noqa: PLC0415 - access reads institutions, which this module writes

    same = Institution.objects.filter(domain__in=suffixes(domain)).first()
    same = same or (Institution.objects.filter(ror=ror).first() if ror else None)
    if same is not None:
        raise AlreadyListed(same)
    try:
        with transaction.atomic():
            institution = Institution.objects.create(
                slug=_free_slug(domain),
                name_en=name_en,
                name_fr=name_fr,
                city=city,
                province=province,
                country=country,
                domain=domain,
                ror=ror,
                zone=_zone_of(country, province),
                language=by.language,
                confirmed=False,
            )
    except IntegrityError as error:  # somebody was faster
        faster = Institution.objects.filter(domain=domain).first()
        if faster is None:
            raise Invalid(_("Somebody added a university at the same moment. Please send it again.")) from error
        raise AlreadyListed(faster) from error
    audit.record("members.institution_proposed", institution, by=by, at=at, institution_id=institution.pk)
    return institution


def _zone_of(country: str, province: str) -> str:
    """The time zone of the place; UTC, which a reviewer sees and corrects, where it cannot be told."""
    if country == "CA":
        return ZONES[province]
    zones = [name for name, territory in get_global("zone_territories").items() if territory == country]
    return zones[0] if len(zones) == 1 else "UTC"


def _free_slug(domain: str) -> str:
    base = slugify(domain.split(".")[-2])[:50] or "university"
    taken = set(Institution.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    return next(slug for slug in (base, *(f"{base}-{n}" for n in range(2, 10_000))) if slug not in taken)


@transaction.atomic
def confirm_institution(institution: Institution, *, values: dict[str, Any], by: User | System, at: datetime) -> None:
    """Confirm what an applicant wrote of a university, with `values` put right. Raises Forbidden, Invalid."""
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    rows = Institution.objects.filter(pk=institution.pk, confirmed=False)
    try:
        with transaction.atomic():
            if not rows.update(**values, confirmed=True):
                raise Invalid(_("This institution is confirmed already."))
    except IntegrityError as error:
        raise Invalid(_("Another institution has this domain, ROR id or short name."), field="domain") from error
    institution.refresh_from_db()
    audit.record(
        "members.institution_confirmed",
        institution,
        by=by,
        at=at,
        institution_id=institution.pk,
        after={"ror": institution.ror, "domain": institution.domain},
    )
