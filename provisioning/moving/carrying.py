"""Homes on their way: each is read, written and compared by its checksums, and only then counts as carried.

One at a time, so that one home at most lies on the portal's own disk, and only while it travels.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from consortium.kernel.crash import crash_point
from consortium.kernel.jobs import Run
from consortium.kernel.tenancy import Scope, consortium_scope
from members.keys import member_key
from provisioning.gateways.base import HubDriver, HubTarget
from provisioning.gateways.carrying import Home, HomeCarrier, HomeDamagedError
from provisioning.models import HubMove
from provisioning.patience import keep_asking_at
from provisioning.pseudonyms import pseudonym


@dataclass(frozen=True, kw_only=True)
class Places:
    """The two ends of a move, each as a driver and as a carrier of homes."""

    target: HubTarget
    old: HubDriver
    new: HubDriver
    old_homes: HomeCarrier
    new_homes: HomeCarrier


def carry_homes(run: Run, move: HubMove, places: Places, check: Callable[[], None]) -> None:
    """Will carry every home that has not arrived yet; `check` is asked before each and may stop it.

    Raises GatewayError, and whatever `check` raises. What arrived stays noted, so a later start goes on from there.
    """
    homes = keep_asking_at(run, move.from_cluster, lambda: places.old_homes.homes(places.target))
    with consortium_scope(Scope.JOB):
        key = member_key(move.institution_id)
        HubMove.objects.filter(pk=move.pk).update(homes_total=len(homes))
    folder = _empty_folder(move)
    try:
        for number, home in enumerate(homes, start=1):
            check()
            name = pseudonym(key, home.key)
            if name in move.homes:
                continue
            text = _("Home %(number)d of %(total)d") % {"number": number, "total": len(homes)}
            run.report("carry", message=text)
            found = _carry(run, move, places, home, folder)
            move.homes[name] = {"entries": len(found), "sha256": sums_hash(found)}
            with consortium_scope(Scope.JOB):
                HubMove.objects.filter(pk=move.pk).update(homes=move.homes)
            crash_point("move.home_carried")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    keep_asking_at(run, move.to_cluster, lambda: places.new_homes.end_carrying(places.target))


def sums_hash(sums: Mapping[str, str]) -> str:
    """The SHA-256 of a home's sums in the order of their names: equal homes have equal ones."""
    return hashlib.sha256(json.dumps(dict(sums), sort_keys=True).encode()).hexdigest()


def _carry(run: Run, move: HubMove, places: Places, home: Home, folder: Path) -> Mapping[str, str]:
    """Carry one home and compare it. Raises HomeDamagedError when it did not arrive whole."""

    def beat(_step: str, _message: str) -> None:
        run.heartbeat()

    archive, sent = keep_asking_at(
        run, move.from_cluster, lambda: places.old_homes.read_home(places.target, home, into=folder, progress=beat)
    )
    crash_point("move.home_read")
    arrived = keep_asking_at(
        run, move.to_cluster, lambda: places.new_homes.write_home(places.target, home, archive, progress=beat)
    )
    archive.unlink()
    crash_point("move.home_written")
    if arrived != sent:
        differ = sum(sent.get(name) != arrived.get(name) for name in sent.keys() | arrived.keys())
        raise HomeDamagedError(_("%(count)d of %(total)d entries differ") % {"count": differ, "total": len(sent)})
    return arrived


def _empty_folder(move: HubMove) -> Path:
    """A folder for the portal's eyes alone; what a killed worker left in it is gone."""
    folder = Path(settings.PORTAL_HOME) / "moves" / str(move.pk)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder
