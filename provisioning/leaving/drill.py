"""The rehearsal of leaving: a hub is set up elsewhere from its bundle and homes alone, compared, and taken away again.

It knows nothing of the hub but the two files, as a university that leaves would. What is compared is said one by one;
what cannot be, with the reason.
"""

import json
import secrets as randomness
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import yaml

from provisioning.gateways.base import GatewayError, HubDriver, HubState, HubTarget, WorkProver
from provisioning.gateways.carrying import HomeCarrier, SignOnSecrets
from provisioning.leaving.bundle import damaged_files, files_of, users_csv
from provisioning.leaving.homes import files_in, split, sums_of
from provisioning.specs import CHECK_USER, HubSpec, LocalSignOn

MOST_SHOWN = 20
WAIT_SECONDS = 300.0


class Rehearsal(HubDriver, HomeCarrier, WorkProver, Protocol):
    """A place that can take a hub in for a rehearsal and forget it afterwards."""

    def forget(self, target: HubTarget) -> None:
        """Takes the memory of a hub away that is absent, so that it may be made there as if for the first time."""
        ...


class DrillRefusedError(GatewayError):
    """The place is not free for a rehearsal."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"that cluster knows a hub {slug} already; rehearse on one that never had it", permanent=True)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison: how much was compared, and where it differs. `skipped` says why there was nothing to compare."""

    what: str
    compared: int = 0
    differences: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it was compared and nothing differs, or could not be compared for a reason that is told."""
        return not self.differences


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the rehearsal found; `seconds` is how long it took."""

    slug: str
    checks: tuple[Check, ...] = field(default_factory=tuple)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return all(check.is_good for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "hub": self.slug,
            "passed": self.passed,
            "seconds": round(self.seconds, 1),
            "checks": [{**asdict(check), "good": check.is_good} for check in self.checks],
        }


def rehearse(bundle: Path, homes: Path | None, place: Rehearsal) -> Report:
    """Will set the hub up at the place, compare it with what the bundle says, and leave nothing of it behind.

    Raises DrillRefusedError where the place knows a hub of that name, GatewayError when it cannot be set up.
    """
    begun = time.monotonic()
    contents = files_of(bundle)
    spec = HubSpec.model_validate_json(contents["spec.json"])
    target = HubTarget(slug=spec.slug, generation=1)
    seen = place.observe(target)
    if seen.state is not HubState.ABSENT or seen.generation:
        raise DrillRefusedError(spec.slug)
    checks = [Check(what="bundle", compared=len(contents), differences=tuple(damaged_files(contents)))]
    try:
        checks += _installed(contents, homes, place, target, spec)
    finally:
        _insist(lambda: place.destroy(target, keep_data=False))
        place.forget(target)
    return Report(slug=spec.slug, checks=tuple(checks), seconds=time.monotonic() - begun)


def _installed(
    contents: dict[str, bytes], homes: Path | None, place: Rehearsal, target: HubTarget, spec: HubSpec
) -> list[Check]:
    if not isinstance(spec.sign_on, LocalSignOn):  # no secret is in the bundle: whoever leaves registers anew
        place.keep_sign_on_secrets(target, spec, SignOnSecrets(client_secret=randomness.token_urlsafe(24)))
    _insist(lambda: place.ensure(target, spec))
    checks = [_homes(homes, place, target)]
    drift = place.drift(target, spec)
    checks.append(Check(what="what runs", compared=1, differences=_few([one.path for one in drift])))
    checks.append(_proof(place, target))
    with TemporaryDirectory(prefix="drill-") as folder:
        again = files_of(place.take_away(target, spec, into=Path(folder)))
    checks.append(_values(contents, again))
    checks.append(_users(contents, spec))
    checks.append(_listed("images", "images.json", contents, again, str))
    checks.append(_listed("storage", "storage.json", contents, again, _claim))
    return checks


def _homes(homes: Path | None, place: Rehearsal, target: HubTarget) -> Check:
    """Carry every home in and compare what then lies there, file by file, with the archive's own sums."""
    if homes is None:
        return Check(what="homes", skipped="no archive of homes was given")
    told, found = sums_of(homes), dict[str, str]()
    _insist(lambda: place.suspend(target))
    with split(homes) as parts:
        for home, archive in parts:
            found |= files_in(home.user, _insist(partial(place.write_home, target, home, archive)))
    place.end_carrying(target)
    _insist(lambda: place.resume(target))
    differ = [name for name in sorted(told.keys() | found.keys()) if told.get(name) != found.get(name)]
    return Check(what="homes", compared=len(told), differences=_few(differ))


def _proof(place: Rehearsal, target: HubTarget) -> Check:
    steps: list[str] = []
    try:
        place.prove(target, lambda step, _message: steps.append(step))
    except GatewayError as error:
        return Check(what="work", compared=len(steps), differences=(f"{(steps or ['sign_in'])[-1]}: {error.message}",))
    return Check(what="work", compared=len(steps))


def _values(before: dict[str, bytes], after: dict[str, bytes]) -> Check:
    was, now = (flat(yaml.safe_load(each["values.yaml"])) for each in (before, after))
    differ = [path for path in sorted(was.keys() | now.keys()) if was.get(path) != now.get(path)]
    return Check(what="values", compared=len(was), differences=_few(differ))


def _users(contents: dict[str, bytes], spec: HubSpec) -> Check:
    """The list of the bundle against the specification that was just found to be what runs."""
    if "users.csv" not in contents:
        return Check(what="users", skipped="the bundle has no list of users")
    told, runs = contents["users.csv"].decode().splitlines(), users_csv(spec).splitlines()
    return Check(what="users", compared=len(told) - 1, differences=_few(sorted(set(told) ^ set(runs))))


def _listed(
    what: str, name: str, before: dict[str, bytes], after: dict[str, bytes], shown: Callable[[Any], str]
) -> Check:
    if name not in before or name not in after:
        return Check(what=what, skipped="places of this machine have neither images nor volumes of their own")
    both = [map(shown, next(iter(json.loads(each[name]).values()))) for each in (before, after)]
    was, now = ({one for one in found if not one.startswith(f"claim-{CHECK_USER} ")} for found in both)
    return Check(what=what, compared=len(was), differences=_few(sorted(was ^ now)))


def _claim(one: dict[str, Any]) -> str:
    """A volume without its class, which is the cluster's own business."""
    return f"{one['name']} {one['size']} {','.join(one['access_modes'])}"


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf by its path; a list is one leaf."""
    if isinstance(value, dict):
        return {
            at: leaf for key, inner in value.items() for at, leaf in flat(inner, f"{path}.{key}".lstrip(".")).items()
        }
    return {path: value}


def _insist[T](act: Callable[[], T]) -> T:
    """Repeats what fails in passing, for some minutes. Raises the last GatewayError."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return act()
        except GatewayError as error:
            if error.permanent or time.monotonic() > end:
                raise
            time.sleep(0.2)


def _few(differences: list[str]) -> tuple[str, ...]:
    shown = tuple(differences[:MOST_SHOWN])
    more = len(differences) - len(shown)
    return (*shown, f"and {more} more") if more > 0 else shown
