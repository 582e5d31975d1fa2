"""A drill with the portal's own hubs and clusters: the bundle and the homes are made, then rehearsed elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from django.utils.translation import gettext as _

from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.drivers import driver_for, target_of
from provisioning.gateways.base import HomeExporter, HubDriver
from provisioning.gateways.carrying import HomeCarrier
from provisioning.leaving.bundle import take_away
from provisioning.leaving.drill import Check, Rehearsal, Report, rehearse
from provisioning.leaving.homes import pack_carried
from provisioning.models import Cluster, Hub
from provisioning.requests import spec_of


class CannotRehearse(PortalError):
    """The cluster's driver takes no hubs in for a rehearsal."""

    code = "cannot_rehearse"


def drill(hub: Hub, onto: Cluster, *, into: Path, say: Callable[[str], object] = lambda _text: None) -> Report:
    """Will rehearse on the cluster `onto` that the hub can be set up from what its university would take along.

    The hub goes on meanwhile: homes in use are left out, and the report says how many. Raises CannotRehearse,
    GatewayError and what drivers raise.
    """
    with consortium_scope(Scope.COMMAND):
        spec = spec_of(hub.revisions.get(generation=hub.generation))
        driver, place = driver_for(hub.cluster), driver_for(onto)
    if not (hasattr(place, "forget") and isinstance(place, HomeCarrier)):
        raise CannotRehearse(_("Nothing can be rehearsed on the cluster %(name)s.") % {"name": onto.name})
    say("making the bundle")
    bundle = take_away(hub, spec, driver, into=into)
    say("packing the homes")
    homes, left_out = _homes(hub, driver, into)
    say(f"setting it up on {onto.name}, comparing, taking it away again")
    report = rehearse(bundle, homes, cast("Rehearsal", place))
    if left_out:
        told = Check(what="homes in use", skipped=f"{left_out} people were working; their homes were not compared")
        report = replace(report, checks=(*report.checks, told))
    return report


def _homes(hub: Hub, driver: HubDriver, into: Path) -> tuple[Path | None, int]:
    """The archive of homes, and how many were left out because their volume was in use."""
    if isinstance(driver, HomeExporter):
        return driver.export_homes(target_of(hub), into=into), 0
    if not isinstance(driver, HomeCarrier):
        return None, 0
    target = target_of(hub)
    busy = {sample.user_name for sample in driver.sample(target)}
    homes = driver.homes(target)
    try:
        free = [home for home in homes if home.user not in busy]
        return pack_carried(driver, target, free, into=into), len(homes) - len(free)
    finally:
        driver.end_carrying(target)
