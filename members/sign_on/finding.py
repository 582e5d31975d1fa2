"""Finding one's university on the sign-in page: by name, city, or one's own address."""

from dataclasses import dataclass

from django.db.models import Q

from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Domain, Institution, SignOn
from members.models.sign_on import LIVE
from members.queries import search_institutions


@dataclass(frozen=True)
class Found:
    """A university, and whether people sign in there."""

    institution: Institution
    has_sign_on: bool


def universities(text: str, *, limit: int = 8) -> list[Found]:
    """Return the universities that a text names, those with sign-on first; nothing for an empty text.

    An address finds the university whose verified domain it is in. What is public is shown: names, and who takes part.
    """
    words = text.strip()
    if not words:
        return []
    domain = words.rpartition("@")[2].lower()
    with consortium_scope(Scope.SIGN_IN):
        proven = Domain.objects.filter(Q(name=domain), status="verified").values_list("institution_id", flat=True)
        found = list(Institution.objects.filter(pk__in=list(proven)))
        found += [each for each in search_institutions(domain if "@" in words else words) if each not in found]
        live = set(
            SignOn.objects.filter(status__in=LIVE, institution__in=found).values_list("institution_id", flat=True)
        )
    rows = [Found(each, each.pk in live) for each in found]
    return sorted(rows, key=lambda row: not row.has_sign_on)[:limit]
