"""One act on one hub: making it, mending its release, putting it to sleep, ending it. Every step may be repeated.

Each step asks the cluster what is there before it changes anything, so that a worker that was killed at any point is
followed by one that finishes its work. What Helm left pending, because it was killed itself, is cleared first.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from consortium.kernel.crash import crash_point
from provisioning.gateways.base import HubTarget, StepReport
from provisioning.gateways.kubernetes.api import ClusterApi
from provisioning.gateways.kubernetes.chart import Chart
from provisioning.gateways.kubernetes.drift import object_differences
from provisioning.gateways.kubernetes.errors import ForeignNamespaceError, ReleaseUnfinishedError, UnknownHubError
from provisioning.gateways.kubernetes.helm import Helm
from provisioning.gateways.kubernetes.homes import sweep_carriers
from provisioning.gateways.kubernetes.objects import guard_paths, guards, namespace_object, namespace_path
from provisioning.gateways.kubernetes.paths import HUB_LABEL, namespace_of
from provisioning.gateways.kubernetes.record import Hold, HubRecord
from provisioning.gateways.kubernetes.releases import Release, newest_release
from provisioning.gateways.kubernetes.secret_store import client_secret_path, prepare_secret
from provisioning.gateways.kubernetes.workloads import end_servers, is_asleep, put_to_sleep
from provisioning.places import Place, values_on
from provisioning.specs import HubSpec, Values, spec_hash

_HALF_ROLLED = frozenset({"pending-upgrade", "pending-rollback"})


@dataclass(frozen=True, kw_only=True)
class Work:
    """What an act works with. `chart` is asked for only by what needs it: it may have to be pulled."""

    api: ClusterApi
    helm: Helm
    chart: Callable[[], Chart]
    place: Place
    target: HubTarget
    progress: StepReport

    @property
    def slug(self) -> str:
        """The hub's short name."""
        return self.target.slug

    def check(self, spec: HubSpec) -> Values:
        """The values of the hub, found good by the chart itself. Raises ValuesRefusedError, ForeignNamespaceError."""
        values = values_on(spec, self.place)
        self.chart().check(values)
        self.own_namespace()
        return values

    def own_namespace(self) -> bool:
        """Whether the hub's namespace exists. Raises ForeignNamespaceError when it is somebody else's."""
        found = self.api.get(namespace_path(self.slug))
        if found is None:
            return False
        if found["metadata"].get("labels", {}).get(HUB_LABEL) != self.slug:
            raise ForeignNamespaceError(namespace_of(self.slug))
        return str(found.get("status", {}).get("phase")) != "Terminating"

    def converge(self, hold: Hold) -> None:
        """Makes the cluster have what the held record wants."""
        record = hold.record
        if record.spec is None:
            raise UnknownHubError(self.slug)
        values = self.check(record.spec)
        self._surround(record.spec)
        self._release(hold, record.spec, values)

    def sleep(self) -> None:
        """Stops everything of the hub but what it remembers."""
        self.progress("stop", "Stopping the hub and its servers")
        put_to_sleep(self.api, self.slug)
        crash_point("kubernetes.scaled")

    def end(self, *, keep_data: bool) -> None:
        """Takes the hub away: its release first, so that nothing of it outside its namespace is left."""
        if not self.own_namespace():
            return
        self.progress("stop", "Stopping the hub and its servers")
        if newest_release(self.api, self.slug) is not None:
            self.helm.uninstall(self.slug)
        end_servers(self.api, self.slug)
        sweep_carriers(self.api, self.slug)
        crash_point("kubernetes.uninstalled")
        if not keep_data:
            self.progress("remove", "Removing the homes and all else")
            self.api.delete(namespace_path(self.slug))
            crash_point("kubernetes.namespace_deleted")
            return
        self.progress("remove", "Keeping the homes, removing the rest")
        for path in (*guard_paths(self.slug), client_secret_path(self.slug)):
            self.api.delete(path)
        crash_point("kubernetes.swept")

    def is_gone(self, *, keep_data: bool) -> bool:
        """Whether nothing of the hub runs any more, or with its data nothing exists."""
        if keep_data:
            return not self.own_namespace() or is_asleep(self.api, self.slug)
        return self.api.get(namespace_path(self.slug)) is None

    def _surround(self, spec: HubSpec) -> None:
        self.api.apply(namespace_path(self.slug), namespace_object(spec, self.place))
        crash_point("kubernetes.namespace")
        for path, body in guards(spec).items():
            self.api.apply(path, body)
            crash_point("kubernetes.guarded")
        prepare_secret(self.api, spec)
        crash_point("kubernetes.secret")

    def _release(self, hold: Hold, spec: HubSpec, values: Values) -> None:
        chart = self.chart()
        identity = _identity(chart, values)
        release = self._unstuck(newest_release(self.api, self.slug))
        if not self._is_equal(hold.record, release, identity):
            self.progress("start", f"Bringing the release to {chart.name} {chart.version}")
            hold.save()
            self.helm.upgrade(self.slug, chart.path, values)
            self._check_that_helm_noted_it()
        crash_point("kubernetes.released")
        hold.save(
            applied=identity, applied_generation=hold.record.generation, applied_spec_hash=spec_hash(spec),
        )  # fmt: skip
        crash_point("kubernetes.applied")

    def _check_that_helm_noted_it(self) -> None:
        """Helm ends well although its last note was refused, and takes the release for half made from then on."""
        release = newest_release(self.api, self.slug)
        if release is None or release.status != "deployed":
            raise ReleaseUnfinishedError(self.slug, release.status if release else "absent")

    def _is_equal(self, record: HubRecord, release: Release | None, identity: str) -> bool:
        if release is None or release.status != "deployed" or record.applied != identity:
            return False
        return not object_differences(self.api, self.slug, release, asleep=False)

    def _unstuck(self, release: Release | None) -> Release | None:
        """Clears what a killed Helm left behind; a release that merely failed is mended by the next upgrade."""
        if release is None:
            return None
        if release.status in _HALF_ROLLED and release.last_deployed_revision:
            self.progress("start", "Going back before an update that was cut off")
            self.helm.rollback(self.slug, release.last_deployed_revision)
        elif release.status in {"pending-install", "uninstalling", *_HALF_ROLLED}:
            self.progress("start", "Clearing an installation that was cut off")
            self.helm.uninstall(self.slug)
        elif release.status != "failed" or release.last_deployed_revision:
            return release
        return newest_release(self.api, self.slug)


def _identity(chart: Chart, values: Values) -> str:
    """Equal when Helm would write the same: the hash of chart and values."""
    whole = json.dumps([chart.digest, values], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(whole.encode()).hexdigest()
