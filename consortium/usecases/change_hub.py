"""Changing a hub that exists: the agreement still decides what is covered, then provisioning writes the revision."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from billing.standing import refuse_read_only
from consortium.kernel.errors import Invalid
from consortium.models import Job
from consortium.usecases.hub_price import Asked, hub_price
from members.entitlements import check_hub, entitlements
from members.models import Institution, User
from provisioning.models import Hub, HubRevision
from provisioning.requests import revise_hub, spec_of
from provisioning.specs import HubSpec
from provisioning.wishes import HubWish

MIB = 1024 * 1024


@transaction.atomic
def change_hub(hub: Hub, *, wish: HubWish, by: User, at: datetime) -> Job:
    """Will want the hub as the wish says, keeping what the wish does not speak of.

    Raises NoAgreement, EntitlementExceeded and what provisioning.requests raises. Needs the institution's scope.
    """
    now_spec = _newest(hub)
    wanted = wish.spec(slug=hub.slug)
    asked = ("display_name", "environment", "image", "default_url", "size", "max_servers", "expected_users", "sign_on")
    spec = now_spec.model_copy(update={name: getattr(wanted, name) for name in asked})
    return revise(hub, spec, note="", by=by, at=at)


@transaction.atomic
def roll_back(hub: Hub, *, generation: int, by: User, at: datetime) -> Job:
    """Will want the hub as an earlier revision said, as a new revision.

    Raises Invalid where there is no such revision, and what `change_hub` raises. Needs the institution's scope.
    """
    revision = HubRevision.objects.filter(hub=hub, generation=generation).first()
    if revision is None or generation == hub.generation:
        raise Invalid(_("There is no earlier revision %(number)d of this hub.") % {"number": generation})
    return revise(hub, spec_of(revision), note=_("Back to revision %d") % generation, by=by, at=at)


def _newest(hub: Hub) -> HubSpec:
    return spec_of(HubRevision.objects.get(hub=hub, generation=hub.generation))


@transaction.atomic
def revise(hub: Hub, spec: HubSpec, *, note: str, by: User, at: datetime) -> Job:
    """Will want the hub as the spec says, where the agreement covers it.

    Raises NoAgreement, EntitlementExceeded and what provisioning.requests raises. Needs the institution's scope.
    """
    refuse_read_only(hub.institution_id)
    Institution.objects.select_for_update(no_key=True).get(pk=hub.institution_id)
    entitlement = entitlements(hub.institution_id, at=at)
    others = Hub.objects.filter(institution_id=hub.institution_id).exclude(status__in=["retired", "declined"])
    check_hub(
        entitlement,
        environment=spec.environment,
        memory_bytes=spec.size.memory_limit_mib * MIB,
        max_servers=spec.max_servers,
        region=hub.cluster.region,
        existing=others.exclude(pk=hub.pk).count(),
    )
    asked = Asked(
        memory_bytes=spec.size.memory_limit_mib * MIB,
        max_servers=spec.max_servers,
        expected_users=spec.expected_users,
    )
    price = hub_price(entitlement, asked, at=at, besides=hub.slug)
    return revise_hub(hub, spec=spec, note=note, by=by, at=at, estimate=price.as_json())
