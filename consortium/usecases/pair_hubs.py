"""A staging twin for a hub that exists, and what was tried there taken over to production."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.models import Job
from consortium.usecases.change_hub import revise
from consortium.usecases.request_hub import add_twin
from members.models import Institution, User
from provisioning.models import Hub
from provisioning.pairs import promotable


@transaction.atomic
def request_staging(production: Hub, *, by: User, at: datetime) -> Hub:
    """Will request the staging twin of a hub; it counts as one of the agreement's hubs.

    Raises NoAgreement, EntitlementExceeded, NoCluster, HasTwin and what provisioning.requests raises. Needs the
    institution's scope.
    """
    Institution.objects.select_for_update(no_key=True).get(pk=production.institution_id)
    return add_twin(production, by=by, at=at)


@transaction.atomic
def promote(staging: Hub, *, by: User, at: datetime) -> Job:
    """Will want production as staging is: its environment, sizes, storage, culling and sign-on, not its name.

    Raises NotTried, and what changing the production hub raises. Needs the institution's scope.
    """
    spec = promotable(staging)
    production = Hub.objects.select_related("cluster").get(staging=staging)
    note = _("Promoted from revision %(number)d of staging") % {"number": staging.generation}
    return revise(production, spec, note=note, by=by, at=at)
