"""Staging and production: a hub may have a twin on which changes are tried first.

The twin is a hub of its own, with its people and its files; it counts as one of the agreement's hubs. It is requested
with its production hub or later, approved with it, and promised to nobody: it has no service statement.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from consortium.kernel.errors import Invalid
from members.models import User
from provisioning.models import Cluster, Hub
from provisioning.requests import TELL_OPERATORS, request_hub, spec_of
from provisioning.specs import HubSpec

SUFFIX: Final = "-staging"
LONGEST: Final = 40
# What a hub keeps when its twin's spec is promoted: who and where it is, and what its cost is booked under.
OWN: Final = ("slug", "display_name", "domain", "cost_labels")


class HasTwin(Invalid):
    """The hub has a staging twin, or is one."""

    code = "has_twin"


class NotTried(Invalid):
    """What would be promoted does not run on staging."""

    code = "not_tried"


@transaction.atomic
def request_twin(
    production: Hub,
    *,
    cluster: Cluster,
    by: User,
    at: datetime,
    estimate: Mapping[str, Any] | None = None,
    is_told: bool = True,
) -> Hub:
    """Will request the staging twin of a hub, equal to it in everything but its name.

    The caller has checked the entitlements; `is_told` says whether operators hear of it by itself. Raises Forbidden,
    HasTwin, and what request_hub raises.
    """
    refuse_twin(production)
    spec = spec_of(production.revisions.get(generation=production.generation))
    twin = request_hub(
        institution=production.institution,
        cluster=cluster,
        spec=spec.model_copy(
            update={
                "slug": twin_slug(production.slug),
                "display_name": _("%(name)s (staging)") % {"name": spec.display_name[:85]},
                "domain": None,
            }
        ),
        agreement_id=production.agreement_id,
        zone=production.zone,
        by=by,
        at=at,
        purpose=production.purpose,
        estimate=estimate,
        tell=(TELL_OPERATORS,) if is_told else (),
    )
    try:
        with transaction.atomic():
            Hub.objects.filter(pk=twin.pk).update(staging_of=production)
    except IntegrityError as error:
        raise HasTwin(_("This hub has its staging hub already, or is one.")) from error
    twin.staging_of = production
    return twin


def refuse_twin(production: Hub) -> None:
    """Raise HasTwin for a hub that has its twin, or is one."""
    if production.staging_of_id is not None or Hub.objects.filter(staging_of=production).exists():
        raise HasTwin(_("This hub has its staging hub already, or is one."))


def twin_slug(slug: str) -> str:
    """Will make the short name of a twin, of at most 40 characters."""
    return slug[: LONGEST - len(SUFFIX)].rstrip("-") + SUFFIX


def promotable(staging: Hub) -> HubSpec:
    """Will return the spec that production would have: all of staging's that is not its own.

    Raises NotTried for a hub that is no twin, and for a newest revision that does not run there.
    """
    if staging.staging_of is None:
        raise NotTried(_("This hub is no staging hub: there is nothing to promote it to."))
    if staging.status != "running" or staging.observed_generation != staging.generation or staging.drift:
        raise NotTried(_("The newest revision does not run on staging as it is wanted. Promote it once it does."))
    production = staging.staging_of
    theirs = spec_of(production.revisions.get(generation=production.generation))
    tried = spec_of(staging.revisions.get(generation=staging.generation))
    return tried.model_copy(update={name: getattr(theirs, name) for name in OWN})
