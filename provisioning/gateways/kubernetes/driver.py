"""Drives hubs on one Kubernetes cluster; see provisioning/gateways/base.py for what each method promises."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from provisioning.gateways.base import (
    Difference,
    HubState,
    HubTarget,
    Observed,
    ProofImpossibleError,
    ServerSample,
    StaleGenerationError,
    StepReport,
    no_progress,
)
from provisioning.gateways.carrier import Sums
from provisioning.gateways.carrying import Home, SignOnSecrets
from provisioning.gateways.jupyterhub.proof import prove_with_password, prove_with_token
from provisioning.gateways.kubernetes.access import ClusterAccess
from provisioning.gateways.kubernetes.api import ClusterApi
from provisioning.gateways.kubernetes.bundle import write_cluster_bundle
from provisioning.gateways.kubernetes.chart import ChartReference, Charts
from provisioning.gateways.kubernetes.drift import object_differences, value_differences
from provisioning.gateways.kubernetes.errors import NotInTimeError, NotRunningError, UnknownHubError
from provisioning.gateways.kubernetes.helm import Helm
from provisioning.gateways.kubernetes.homes import CarrierPod, claim_of, homes_of, make_claim, sweep_carriers
from provisioning.gateways.kubernetes.objects import namespace_object, namespace_path
from provisioning.gateways.kubernetes.observing import observe
from provisioning.gateways.kubernetes.patience import Patience
from provisioning.gateways.kubernetes.record import HubRecord, Records
from provisioning.gateways.kubernetes.releases import newest_release
from provisioning.gateways.kubernetes.sampling import claimed_bytes, servers_of
from provisioning.gateways.kubernetes.secret_store import (
    keep_sign_on_secrets,
    portal_token,
    shared_password,
    sign_on_secrets,
    store_client_secret,
)
from provisioning.gateways.kubernetes.snapshots import release_snapshots, snapshot_volumes
from provisioning.gateways.kubernetes.work import Work
from provisioning.places import Place, url_of, values_on
from provisioning.specs import CHECK_SERVICE, HubSpec, LocalSignOn, spec_hash

POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds. `act` limits each call of the driver; `helm` is Helm's own limit, `grace` what its process gets beyond.

    A worker that is killed keeps others from its hub for `hold` at most: as long as the Helm that it left behind could
    still run. `call` limits one call of the cluster's API, `pause` is the first pause between two tries of one; `carry`
    limits how long a pod may be silent while it packs or sums a home.
    """

    act: float = 60.0
    helm: float = 12.0
    grace: float = 4.0
    hold: float = 26.0
    call: float = 10.0
    carry: float = 900.0
    pause: float = 0.2


class KubernetesDriver:
    """Hubs of one cluster, made from one chart by the Helm at `helm`; charts from elsewhere are kept in `charts`."""

    def __init__(
        self,
        access: ClusterAccess,
        *,
        place: Place,
        chart: ChartReference,
        helm: Path,
        charts: Path,
        limits: Limits | None = None,
    ) -> None:
        self._access, self._place, self._reference = access, place, chart
        self._limits = limits or Limits()
        self._helm = Helm(helm, access, timeout_seconds=self._limits.helm, grace_seconds=self._limits.grace)
        self._charts = Charts(helm, charts)

    def ensure(self, target: HubTarget, spec: HubSpec, progress: StepReport = no_progress) -> Observed:
        """See HubDriver.ensure."""
        with self._work(target, progress) as (work, records):
            progress("prepare", "Preparing the hub's namespace, limits and secret")
            work.check(spec)  # before the wish is written: a wish that cannot be would only stand in the way
            with records.held(target) as hold:
                before = hold.before
                if before is not None and before.wish == "absent" and before.generation == target.generation:
                    raise StaleGenerationError(slug=target.slug, asked=target.generation, stored=before.generation)
                wish = "suspended" if before is not None and before.wish == "suspended" else "running"
                hold.save(generation=target.generation, wish=wish, spec=spec, spec_hash=spec_hash(spec))
                if wish == "running":
                    work.converge(hold)
            return self._settled(work, records, progress)

    def observe(self, target: HubTarget) -> Observed:
        """See HubDriver.observe."""
        with self._work(target, no_progress) as (work, records):
            return self._observe(work, records.read(target.slug))

    def suspend(self, target: HubTarget, progress: StepReport = no_progress) -> Observed:
        """See HubDriver.suspend."""
        with self._work(target, progress) as (work, records):
            with records.held(target) as hold:
                _known(target, hold.before)
                hold.save(generation=target.generation, wish="suspended")
                work.sleep()
            return self._settled(work, records, progress)

    def resume(self, target: HubTarget, progress: StepReport = no_progress) -> Observed:
        """See HubDriver.resume."""
        with self._work(target, progress) as (work, records):
            with records.held(target) as hold:
                _known(target, hold.before)
                hold.save(generation=target.generation, wish="running")
                work.converge(hold)
            return self._settled(work, records, progress)

    def destroy(self, target: HubTarget, *, keep_data: bool, progress: StepReport = no_progress) -> Observed:
        """See HubDriver.destroy. With `keep_data` the namespace stays with its volume claims and nothing else."""
        with self._work(target, progress) as (work, records):
            with records.held(target) as hold:
                hold.save(
                    generation=target.generation, wish="absent", spec=None, spec_hash="", applied="",
                    applied_generation=target.generation, applied_spec_hash="",
                )  # fmt: skip
                work.end(keep_data=keep_data)
            self._wait(lambda: work.is_gone(keep_data=keep_data), work, "absent", lambda: self._observe(work, None))
            progress("done", "The hub is absent")
            return self._observe(work, records.read(target.slug))

    def sample(self, target: HubTarget) -> list[ServerSample]:
        """See HubDriver.sample. What a server is guaranteed is read from its pod."""
        with self._work(target, no_progress) as (work, records):
            record = _known(target, records.read(target.slug))
            if record.wish != "running":
                raise NotRunningError(target.slug, record.wish)
            return servers_of(work.api, record, self._url(record))

    def stored_bytes(self, target: HubTarget) -> int:
        """See StorageMeter.stored_bytes. What the claims of people's homes set aside."""
        with self._work(target, no_progress) as (work, records):
            _known(target, records.read(target.slug))
            return claimed_bytes(work.api, target.slug)

    def drift(self, target: HubTarget, spec: HubSpec) -> list[Difference]:
        """See HubDriver.drift. Compares the release's values with the spec's, and the cluster's objects with Helm's."""
        with self._work(target, no_progress) as (work, records):
            record = _known(target, records.read(target.slug))
            release = newest_release(work.api, target.slug)
            if release is None:
                return [Difference(path="release", wanted="deployed", found="(missing)")]
            found = value_differences(values_on(spec, self._place), release.values)
            if release.status != "deployed":
                found.append(Difference(path="release.status", wanted="deployed", found=release.status))
            return found + object_differences(work.api, target.slug, release, asleep=record.wish == "suspended")

    def prove(self, target: HubTarget, progress: StepReport = no_progress) -> None:
        """See WorkProver.prove."""
        with self._work(target, no_progress) as (work, records):
            record = _known(target, records.read(target.slug))
            if record.wish != "running" or record.spec is None:
                raise NotRunningError(target.slug, record.wish)
            url, is_own = self._url(record), isinstance(record.spec.sign_on, LocalSignOn)
            password = shared_password(work.api, target.slug, of_admin=False) if is_own else ""
            token = portal_token(work.api, target.slug, service=CHECK_SERVICE)
        if not token:  # made before hubs had a synthetic user, whose service the chart gives a token
            raise ProofImpossibleError(target.slug)
        if is_own:
            prove_with_password(url, password, progress)
        else:
            prove_with_token(url, token, progress)

    def take_away(self, target: HubTarget, spec: HubSpec, *, into: Path) -> Path:
        """See HubDriver.take_away. The bundle also lists the hub's images by digest and its volumes."""
        with self._work(target, no_progress) as (work, records):
            _known(target, records.read(target.slug))
            return write_cluster_bundle(work.api, spec, into=into)

    def password(self, target: HubTarget, *, of_admin: bool = False) -> str:
        """The shared password of a hub that keeps names of its own."""
        with self._work(target, no_progress) as (work, records):
            _known(target, records.read(target.slug))
            return shared_password(work.api, target.slug, of_admin=of_admin)

    def store_client_secret(self, target: HubTarget, spec: HubSpec, client_secret: str) -> None:
        """Keeps what a hub with OIDC or CILogon needs before its first `ensure`; it is in no spec."""
        with self._work(target, no_progress) as (work, _):
            work.own_namespace()
            work.api.apply(namespace_path(target.slug), namespace_object(spec, self._place))
            store_client_secret(work.api, target.slug, client_secret)

    @contextmanager
    def _work(self, target: HubTarget, progress: StepReport) -> Iterator[tuple[Work, Records]]:
        patience = Patience(self._limits.act, base_seconds=self._limits.pause)
        with ClusterApi(self._access, patience, timeout_seconds=self._limits.call) as api:
            chart = cache(lambda: self._charts.find(self._reference))
            work = Work(
                api=api, helm=self._helm, chart=chart, place=self._place, target=target, progress=_told_once(progress)
            )
            yield work, Records(api, hold_seconds=self._limits.hold)

    def homes(self, target: HubTarget) -> list[Home]:
        """See HomeCarrier.homes: one for each volume claim of a person."""
        with self._work(target, no_progress) as (work, _):
            return homes_of(work.api, target.slug)

    def read_home(
        self, target: HubTarget, home: Home, *, into: Path, progress: StepReport = no_progress
    ) -> tuple[Path, Sums]:
        """See HomeCarrier.read_home."""
        path = into / f"{hashlib.sha256(home.key.encode()).hexdigest()[:16]}.tar.gz"
        with self._carrying(target, home, progress) as pod:
            return path, pod.read(path)

    def write_home(self, target: HubTarget, home: Home, archive: Path, *, progress: StepReport = no_progress) -> Sums:
        """See HomeCarrier.write_home. The claim is the one that the hub itself would make for the person."""
        with self._work(target, progress) as (work, records):
            record = _known(target, records.read(target.slug))
            if record.spec is not None:
                make_claim(work.api, record.spec, self._place, home)
        with self._carrying(target, home, progress) as pod:
            return pod.write(archive)

    def end_carrying(self, target: HubTarget) -> None:
        """See HomeCarrier.end_carrying."""
        with self._work(target, no_progress) as (work, _):
            sweep_carriers(work.api, target.slug)

    def snapshot(self, target: HubTarget) -> int:
        """See SnapshotKeeper.snapshot: none where the cluster has no class of snapshots for the hub's storage."""
        with self._work(target, no_progress) as (work, _):
            return snapshot_volumes(work.api, target.slug) if work.own_namespace() else 0

    def release_snapshots(self, target: HubTarget) -> int:
        """See SnapshotKeeper.release_snapshots."""
        with self._work(target, no_progress) as (work, _):
            return release_snapshots(work.api, target.slug)

    def forget(self, target: HubTarget) -> None:
        """Takes the record of an absent hub away, with the memory that it was ever wanted."""
        with self._work(target, no_progress) as (_, records):
            record = records.read(target.slug)
            if record is not None and record.wish == "absent":
                records.forget(target.slug)

    def sign_on_secrets(self, target: HubTarget) -> SignOnSecrets:
        """See HomeCarrier.sign_on_secrets: the client secret, or the password that its people share."""
        with self._work(target, no_progress) as (work, _):
            return sign_on_secrets(work.api, target.slug)

    def keep_sign_on_secrets(self, target: HubTarget, spec: HubSpec, secrets: SignOnSecrets) -> None:
        """See HomeCarrier.keep_sign_on_secrets. Accounts of a local hub are no use here: people get a new password."""
        with self._work(target, no_progress) as (work, _):
            work.own_namespace()
            work.api.apply(namespace_path(target.slug), namespace_object(spec, self._place))
            keep_sign_on_secrets(work.api, spec, secrets)

    @contextmanager
    def _carrying(self, target: HubTarget, home: Home, progress: StepReport) -> Iterator[CarrierPod]:
        """The pod that serves the home; it is taken away when it has served, and kept for the next try when not."""
        with self._work(target, progress) as (work, records):
            record = _known(target, records.read(target.slug))
            if record.spec is None:
                raise UnknownHubError(target.slug)
            patience = Patience(self._limits.carry, base_seconds=self._limits.pause)
            with ClusterApi(self._access, patience, timeout_seconds=self._limits.carry) as streams:
                pod = CarrierPod(work.api, streams, record.spec, claim_of(home))
                yield pod
            pod.end()

    def _settled(self, work: Work, records: Records, progress: StepReport) -> Observed:
        """Waits until the hub is as its record wants; nobody is kept from it meanwhile."""
        record = _known(work.target, records.read(work.slug))
        seen = self._wait(
            lambda: self._is_as_wanted(work, record), work, record.wish, lambda: self._observe(work, record)
        )
        found = seen or self._observe(work, record)
        if found.state is HubState.RUNNING:
            progress("ready", f"JupyterHub {found.version} answers at {found.url}")
        else:
            progress("done", f"The hub is {found.state}")
        return found

    def _is_as_wanted(self, work: Work, record: HubRecord) -> Observed | None:
        seen = self._observe(work, record)
        work.progress("start" if record.wish == "running" else "stop", seen.detail or f"The hub is {seen.state}")
        return seen if seen.state == record.wish else None

    @staticmethod
    def _wait[T](done: Callable[[], T], work: Work, wanted: str, look: Callable[[], Observed]) -> T:
        seconds = work.api.patience.seconds
        while not (answer := done()):
            if work.api.patience.left <= POLL_SECONDS:
                work.api.patience = Patience(POLL_SECONDS * 5)  # for one last look, to say why
                raise NotInTimeError(work.slug, wanted=wanted, seconds=seconds, seen=look())
            time.sleep(POLL_SECONDS)
        return answer

    def _observe(self, work: Work, record: HubRecord | None) -> Observed:
        url = "" if record is None or record.spec is None else url_of(record.spec, self._place)
        return observe(work.api, work.slug, record, url)

    def _url(self, record: HubRecord) -> str:
        return "" if record.spec is None else url_of(record.spec, self._place)


def _known(target: HubTarget, record: HubRecord | None) -> HubRecord:
    if record is None or not record.generation or record.wish == "absent":
        raise UnknownHubError(target.slug)
    return record


def _told_once(progress: StepReport) -> StepReport:
    """Reports a step only when it differs from the one before."""
    last: list[tuple[str, str]] = []

    def tell(step: str, message: str) -> None:
        if last[-1:] != [(step, message)]:
            last.append((step, message))
            progress(step, message)

    return tell
