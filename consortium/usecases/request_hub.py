"""A hub is requested: the agreement must allow it, a cluster in an allowed region must have room."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from billing.standing import refuse_read_only
from consortium.kernel.audit import System
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.usecases.hub_price import Asked, HubPrice, hub_price
from members.entitlements import Entitlements, check_hub, entitlements, hub_refusals
from members.models import Institution, User
from provisioning import requests
from provisioning.models import Cluster, Environment, Hub
from provisioning.pairs import refuse_twin, request_twin
from provisioning.spending import approve_spending, ask_spending, question_of
from provisioning.wishes import MIB, HubWish, hub_slug

AGREEMENT = System("agreement")


class NoCluster(PortalError):
    """No cluster in a region that the agreement names takes hubs now."""

    code = "no_cluster"


def entitled_environments(entitlement: Entitlements) -> list[Environment]:
    """The catalogue's environments that the agreement names."""
    return list(Environment.objects.filter(key__in=entitlement.environments, retired_at=None))


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a request would meet: every reason against it (the wish at fault, a sentence), what is left, its price.

    `existing` are the hubs the institution has; `needs_operators` says whether the consortium approves it too.
    """

    refusals: tuple[tuple[str, str], ...]
    existing: int
    price: HubPrice
    needs_operators: bool


def preview_hub(entitlement: Entitlements, *, environment: str, asked: Asked, at: datetime) -> Preview:
    """Return what a request of that kind would meet now; nothing is written. Needs the institution's scope."""
    refusals: list[tuple[str, str]] = []
    try:
        region = _cluster(entitlement).region
    except NoCluster as none:
        refusals.append(("region", none.message))
        region = entitlement.regions[0] if entitlement.regions else ""
    existing = _existing(entitlement.institution_id)
    refusals += hub_refusals(
        entitlement,
        environment=environment,
        memory_bytes=asked.memory_bytes,
        max_servers=asked.max_servers,
        region=region,
        existing=existing,
    )
    return Preview(
        refusals=tuple(refusals),
        existing=existing,
        price=hub_price(entitlement, asked, at=at),
        needs_operators=entitlement.schedule.hub_approval != "none",
    )


@transaction.atomic
def request_hub(*, institution: Institution, wish: HubWish, by: User, at: datetime) -> Hub:
    """Write the request with its estimate, and ask whoever must approve it.

    Those who set the member's budget where the month would go beyond it; consortium staff
    (provisioning.requests.approve_hub) where the agreement asks for them. Where neither is asked, it is approved here.
    Two requests at once for the last entitled hub: the second waits for the first and is told. Raises NoAgreement,
    EntitlementExceeded, ReadOnly, NoCluster and what provisioning.requests raises. Needs the institution's scope.
    """
    Institution.objects.select_for_update(no_key=True).get(pk=institution.pk)
    refuse_read_only(institution.pk)
    entitlement = entitlements(institution.pk, at=at)
    cluster = _cluster(entitlement)
    check_hub(
        entitlement,
        environment=wish.environment,
        memory_bytes=wish.memory_bytes,
        max_servers=wish.max_servers,
        region=cluster.region,
        existing=_existing(institution.pk),
    )
    price = hub_price(entitlement, asked_by(wish), at=at)
    by_operators = entitlement.schedule.hub_approval != "none"
    hub = requests.request_hub(
        institution=institution,
        cluster=cluster,
        spec=wish.spec(slug=hub_slug(institution.slug, wish.name)),
        agreement_id=entitlement.agreement_id,
        zone=entitlement.zone,
        by=by,
        at=at,
        purpose=wish.purpose,
        estimate=price.as_json(),
        tell=(requests.TELL_OPERATORS,) if by_operators and price.spending is None else (),
    )
    if wish.staging:
        add_twin(hub, by=by, at=at)
    if price.spending is not None:
        ask_spending(hub, price.spending, by=by, at=at)
    elif not by_operators:
        _approve(hub, at=at)
    return hub


@transaction.atomic
def add_twin(production: Hub, *, by: User, at: datetime) -> Hub:
    """Request the staging twin of a hub; it counts as one of the agreement's hubs.

    A twin of a hub that waits itself is approved, or declined, with it. Raises NoAgreement, EntitlementExceeded,
    NoCluster, HasTwin and what provisioning.requests raises. Needs the institution's scope, and its row held.
    """
    refuse_twin(production)
    entitlement = entitlements(production.institution_id, at=at)
    cluster = production.cluster if production.cluster.retired_at is None else _cluster(entitlement)
    spec = requests.spec_of(production.revisions.get(generation=production.generation))
    memory = spec.size.memory_limit_mib * MIB
    check_hub(
        entitlement,
        environment=spec.environment,
        memory_bytes=memory,
        max_servers=spec.max_servers,
        region=cluster.region,
        existing=_existing(production.institution_id),
    )
    is_waiting = production.status == "requested"
    by_operators = entitlement.schedule.hub_approval != "none"
    price = hub_price(entitlement, Asked(memory_bytes=memory, max_servers=spec.max_servers, expected_users=1), at=at)
    twin = request_twin(
        production,
        cluster=cluster,
        by=by,
        at=at,
        estimate=price.as_json(),
        is_told=by_operators and not is_waiting and price.spending is None,
    )
    if not is_waiting and price.spending is not None:
        ask_spending(twin, price.spending, by=by, at=at)
    elif not is_waiting and not by_operators:
        _approve(twin, at=at)
    return twin


def may_pair(entitlement: Entitlements) -> bool:
    """Whether the agreement has room for a hub and its staging twin. Needs the institution's scope."""
    return _existing(entitlement.institution_id) + 2 <= entitlement.hubs


@transaction.atomic
def allow_spending(hub: Hub, *, by: User, at: datetime) -> None:
    """Let a request go on although the month goes beyond its budget; where nobody else is asked, it is approved.

    Needs the institution's scope. Raises Forbidden, NothingAsked, TransitionRefused, and what approve_hub raises.
    """
    by_operators = entitlements(hub.institution_id, at=at).schedule.hub_approval != "none"
    approve_spending(question_of(hub), by=by, at=at, tell_operators=by_operators)
    if not by_operators:
        _approve(hub, at=at)


def asked_by(wish: HubWish) -> Asked:
    """What the price depends on."""
    return Asked(memory_bytes=wish.memory_bytes, max_servers=wish.max_servers, expected_users=wish.expected_users)


def _approve(hub: Hub, *, at: datetime) -> None:
    """The agreement asks for nobody's approval; the cluster's room is counted over every institution."""
    with consortium_scope(Scope.JOB):
        requests.approve_hub(hub, by=AGREEMENT, at=at)


def _existing(institution_id: UUID) -> int:
    return Hub.objects.filter(institution_id=institution_id).exclude(status__in=["retired", "declined"]).count()


def _cluster(entitlement: Entitlements) -> Cluster:
    cluster = Cluster.objects.filter(region__in=entitlement.regions, retired_at=None).order_by("slug").first()
    if cluster is None:
        raise NoCluster(_("No cluster in the regions of your agreement takes hubs now. The consortium adds one."))
    return cluster
