"""Hubs as processes on this machine: the driver writes what is wanted, the hub supervisor makes it so.

For the demo and a single small tenant: all of a hub's people share one user of the machine, and memory and CPU limits
are advice only. The screen that offers such a cluster says so.
"""

import shutil
import time
from collections.abc import Callable
from decimal import Decimal
from fcntl import LOCK_EX, flock
from pathlib import Path

from provisioning.gateways.base import (
    Difference,
    GatewayError,
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
from provisioning.gateways.jupyterhub.client import HubClient
from provisioning.gateways.jupyterhub.proof import prove_with_password, prove_with_token
from provisioning.gateways.local.bundle import write_bundle
from provisioning.gateways.local.drift import differences
from provisioning.gateways.local.files import Desired, HubFolder, Ports, Seen, Wish, is_supervised, write_record
from provisioning.gateways.local.homes import homes_bytes, list_homes, pack_homes, read_home, write_home
from provisioning.gateways.local.ports import choose_ports, is_free
from provisioning.gateways.local.processes import hub_owner
from provisioning.gateways.local.secret_store import keep_secrets, kept_secrets, prepare_secrets, store_client_secret
from provisioning.specs import CHECK_USER, HubSpec, LocalSignOn, spec_hash

POLL_SECONDS = 0.2


class UnknownHubError(GatewayError):
    """Nobody has ever wanted this hub here, or it has been destroyed."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"there is no hub {slug} on this machine; provision it first", permanent=True)


class NotRunningError(GatewayError):
    """Only a running hub can be asked this."""

    def __init__(self, slug: str, seen: Observed) -> None:
        detail = f" ({seen.detail})" if seen.detail else ""
        super().__init__(f"hub {slug} is {seen.state}{detail} and cannot be asked now", permanent=False)


class NotInTimeError(GatewayError):
    """The hub did not become what is wanted by its deadline; it is still being tried."""

    def __init__(self, slug: str, *, wanted: str, seconds: float, seen: Observed) -> None:
        detail = f": {seen.detail}" if seen.detail else ""
        super().__init__(
            f"hub {slug} is {seen.state}, not {wanted}, after {seconds:.0f} s{detail}; the attempt goes on, look again",
            permanent=False,
        )


class HubFailedError(GatewayError):
    """The hub's processes end as soon as they start."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(f"hub {slug} does not stay up: {detail}; its log has the rest", permanent=False)


class LocalDriver:
    """Drives hubs under one root, which one supervisor keeps; only that one needs the Python that has JupyterHub."""

    def __init__(self, root: Path, *, host: str = "127.0.0.1", deadline_seconds: float = 90.0) -> None:
        self._root = root.absolute()
        self._host = host
        self._deadline = deadline_seconds

    def ensure(self, target: HubTarget, spec: HubSpec, progress: StepReport = no_progress) -> Observed:
        """See HubDriver.ensure."""
        folder = self._folder(target)
        progress("prepare", "Preparing the hub's folder, ports and secrets")
        with folder.locked():
            before = folder.desired()
            _refuse_stale(target, before)
            if before is not None and before.state == "absent" and target.generation == before.generation:
                raise StaleGenerationError(slug=target.slug, asked=target.generation, stored=before.generation)
            prepare_secrets(folder, spec)
            self._want(folder, target, before, spec=spec, state=_wish_of(before))
        return self._until_settled(folder, progress)

    def observe(self, target: HubTarget) -> Observed:
        """See HubDriver.observe."""
        folder = self._folder(target)
        desired = folder.desired()
        return Observed(state=HubState.ABSENT) if desired is None else self._observe(folder, desired)

    def suspend(self, target: HubTarget, progress: StepReport = no_progress) -> Observed:
        """See HubDriver.suspend."""
        return self._change_state(target, "suspended", progress)

    def resume(self, target: HubTarget, progress: StepReport = no_progress) -> Observed:
        """See HubDriver.resume."""
        return self._change_state(target, "running", progress)

    def destroy(self, target: HubTarget, *, keep_data: bool, progress: StepReport = no_progress) -> Observed:
        """See HubDriver.destroy. With `keep_data` the folder keeps `run/home` and the hub's database."""
        folder = self._folder(target)
        with folder.locked():
            before = folder.desired()
            _refuse_stale(target, before)
            self._want(folder, target, before, spec=None, state="absent")
        seen = self._until_settled(folder, progress)
        progress("remove", "Keeping the homes, removing the rest" if keep_data else "Removing the homes and all else")
        _remove(folder, keep_data=keep_data)
        return seen

    def sample(self, target: HubTarget) -> list[ServerSample]:
        """See HubDriver.sample. Memory and CPU are the spec's guarantee, which plain processes do not enforce."""
        folder = self._folder(target)
        desired, secrets = folder.desired(), folder.secrets()
        if desired is None or desired.spec is None or secrets is None:
            raise UnknownHubError(target.slug)
        if desired.state != "running":
            raise NotRunningError(target.slug, self._observe(folder, desired))
        with HubClient(desired.url, secrets.portal_token) as client:
            servers = client.active_servers()
        size = desired.spec.size
        return [
            ServerSample(
                user_name=server.user_name,
                server_name=server.server_name,
                started=server.started,
                ready=server.ready,
                last_activity=server.last_activity,
                memory_bytes=size.memory_guarantee_mib * 1024 * 1024,
                cpu=Decimal(size.cpu_guarantee_millis) / 1000,
            )
            for server in servers
        ]

    def prove(self, target: HubTarget, progress: StepReport = no_progress) -> None:
        """See WorkProver.prove."""
        folder = self._folder(target)
        desired, secrets = folder.desired(), folder.secrets()
        if desired is None or desired.spec is None or secrets is None:
            raise UnknownHubError(target.slug)
        if desired.state != "running":
            raise NotRunningError(target.slug, self._observe(folder, desired))
        account = secrets.accounts.get(CHECK_USER)
        if isinstance(desired.spec.sign_on, LocalSignOn) and account is not None:
            prove_with_password(desired.url, account.password, progress)
        elif secrets.check_token:
            prove_with_token(desired.url, secrets.check_token, progress)
        else:
            raise ProofImpossibleError(target.slug)

    def drift(self, target: HubTarget, spec: HubSpec) -> list[Difference]:
        """See HubDriver.drift. Compares the hub's own configuration files with those the spec would have."""
        folder = self._folder(target)
        desired, secrets = folder.desired(), folder.secrets()
        if desired is None or desired.ports is None or secrets is None:
            raise UnknownHubError(target.slug)
        wanted = desired.model_copy(update={"spec": spec, "spec_hash": spec_hash(spec)})
        return differences(folder, wanted, secrets)

    def take_away(self, target: HubTarget, spec: HubSpec, *, into: Path) -> Path:
        """See HubDriver.take_away."""
        if self._folder(target).desired() is None:
            raise UnknownHubError(target.slug)
        return write_bundle(spec, into=into)

    def export_homes(self, target: HubTarget, *, into: Path) -> Path:
        """See HomeExporter.export_homes."""
        folder = self._folder(target)
        if folder.desired() is None:
            raise UnknownHubError(target.slug)
        return pack_homes(folder.homes, slug=target.slug, into=into)

    def homes(self, target: HubTarget) -> list[Home]:
        """See HomeCarrier.homes."""
        return list_homes(self._folder(target).homes)

    def read_home(
        self, target: HubTarget, home: Home, *, into: Path, progress: StepReport = no_progress
    ) -> tuple[Path, Sums]:
        """See HomeCarrier.read_home."""
        progress("read", home.key)
        return read_home(self._folder(target).homes, home, into=into)

    def write_home(self, target: HubTarget, home: Home, archive: Path, *, progress: StepReport = no_progress) -> Sums:
        """See HomeCarrier.write_home."""
        progress("write", home.key)
        return write_home(self._folder(target).homes, home, archive, owner=hub_owner())

    def end_carrying(self, target: HubTarget) -> None:
        """See HomeCarrier.end_carrying: nothing serves to carry homes here."""

    def sign_on_secrets(self, target: HubTarget) -> SignOnSecrets:
        """See HomeCarrier.sign_on_secrets: the client secret, or everybody's account."""
        return kept_secrets(self._folder(target))

    def keep_sign_on_secrets(self, target: HubTarget, spec: HubSpec, secrets: SignOnSecrets) -> None:
        """See HomeCarrier.keep_sign_on_secrets. A password that all share is of no use here: people get their own."""
        folder = self._folder(target)
        with folder.locked():
            keep_secrets(folder, spec, secrets)

    def stored_bytes(self, target: HubTarget) -> int:
        """See StorageMeter.stored_bytes. What the files of all homes take on this machine's disk."""
        folder = self._folder(target)
        if folder.desired() is None:
            raise UnknownHubError(target.slug)
        return homes_bytes(folder.homes)

    def forget(self, target: HubTarget) -> None:
        """Takes the folder of an absent hub away, with the memory that it was ever wanted."""
        folder = self._folder(target)
        desired = folder.desired()
        if desired is not None and desired.state == "absent" and folder.path.is_dir():
            shutil.rmtree(folder.path)

    def passwords(self, target: HubTarget) -> dict[str, str]:
        """Names and passwords of a hub that keeps its own accounts: for the demo's closing table."""
        secrets = self._folder(target).secrets()
        if secrets is None:
            raise UnknownHubError(target.slug)
        return {name: account.password for name, account in secrets.accounts.items()}

    def store_client_secret(self, target: HubTarget, client_secret: str) -> None:
        """Keeps what a hub with OIDC or CILogon needs before its first `ensure`; it is in no spec."""
        folder = self._folder(target)
        with folder.locked():
            store_client_secret(folder, client_secret)

    def _change_state(self, target: HubTarget, state: Wish, progress: StepReport) -> Observed:
        folder = self._folder(target)
        with folder.locked():
            before = folder.desired()
            _refuse_stale(target, before)
            if before is None or before.spec is None or before.state == "absent":
                raise UnknownHubError(target.slug)
            self._want(folder, target, before, spec=before.spec, state=state)
        return self._until_settled(folder, progress)

    def _want(
        self, folder: HubFolder, target: HubTarget, before: Desired | None, *, spec: HubSpec | None, state: Wish
    ) -> None:
        """Writes the wish, if it is another than before. The root's lock keeps two hubs from choosing one port."""
        with (self._root / "ports.lock").open("w") as handle:
            flock(handle, LOCK_EX)
            wanted = Desired(
                generation=target.generation,
                state=state,
                host=self._host,
                ports=None if spec is None else self._ports(folder, before),
                spec=spec,
                spec_hash="" if spec is None else spec_hash(spec),
            )
            if wanted != before:
                write_record(folder.desired_file, wanted)

    def _ports(self, folder: HubFolder, before: Desired | None) -> Ports:
        """The hub's ports of old, so that its address stays, unless another program has taken one meanwhile."""
        if before is not None and before.ports is not None and before.host == self._host:
            numbers = before.ports.model_dump().values()
            seen = folder.seen()
            in_use_by_us = seen is not None and (seen.hub_pid or seen.proxy_pid)
            if in_use_by_us or all(is_free(self._host, port) for port in numbers):
                return before.ports
        others = (HubFolder(self._root, path.parent.name).desired() for path in self._root.glob("*/desired.json"))
        promised = [port for other in others if other and other.ports for port in other.ports.model_dump().values()]
        return choose_ports(self._host, taken=promised)

    def _until_settled(self, folder: HubFolder, progress: StepReport) -> Observed:
        """Waits until what is seen is what is wanted, telling each change on the way."""
        desired = folder.desired()
        if desired is None:
            raise UnknownHubError(folder.slug)
        deadline = time.monotonic() + self._deadline
        tell = _told_once(progress)
        while True:
            seen = self._observe(folder, desired)
            tell(*_step(desired, seen))
            if seen.state == desired.state and seen.generation == desired.generation:
                return seen
            if seen.state is HubState.FAILED:
                raise HubFailedError(folder.slug, seen.detail)
            if time.monotonic() > deadline:
                raise NotInTimeError(folder.slug, wanted=desired.state, seconds=self._deadline, seen=seen)
            time.sleep(POLL_SECONDS)

    def _observe(self, folder: HubFolder, desired: Desired) -> Observed:
        """What the supervisor says, and for a hub that it calls running, what the hub itself answers."""
        seen = folder.seen()
        supervised = is_supervised(self._root)
        if seen is None or not supervised or not _is_of(seen, desired):
            missing = "the hub supervisor is not running; start it" if not supervised else ""
            return Observed(state=HubState.STARTING, generation=seen.generation if seen else 0, detail=missing)
        state, detail, version, url = HubState(seen.state), seen.last_error, "", ""
        if state is HubState.RUNNING:
            url, version, detail = self._ask(folder, desired)
            state = HubState.RUNNING if version else HubState.STARTING
        return Observed(
            state=state,
            url=url,
            version=version,
            generation=seen.generation,
            spec_hash=seen.spec_hash,
            detail=detail,
        )

    def _ask(self, folder: HubFolder, desired: Desired) -> tuple[str, str, str]:
        """The hub's address, version and complaint, as it answers now."""
        secrets = folder.secrets()
        with HubClient(desired.url, secrets.portal_token if secrets else "", timeout_seconds=5.0) as client:
            try:
                return desired.url, client.version(), ""
            except GatewayError as error:
                return "", "", error.message if error.permanent else "Waiting until the hub answers behind its proxy"

    def _folder(self, target: HubTarget) -> HubFolder:
        return HubFolder(self._root, target.slug)


def _refuse_stale(target: HubTarget, before: Desired | None) -> None:
    if before is not None and target.generation < before.generation:
        raise StaleGenerationError(slug=target.slug, asked=target.generation, stored=before.generation)


def _wish_of(before: Desired | None) -> Wish:
    """A suspended hub takes a new spec in its sleep: a task that comes late must not wake it."""
    return "suspended" if before is not None and before.state == "suspended" else "running"


def _is_of(seen: Seen, desired: Desired) -> bool:
    return seen.generation == desired.generation and seen.spec_hash == desired.spec_hash


def _step(desired: Desired, seen: Observed) -> tuple[str, str]:
    if seen.state == desired.state and desired.state == "running":
        return "ready", f"JupyterHub {seen.version} answers at {seen.url}"
    if seen.state == desired.state:
        return "done", f"The hub is {desired.state}"
    if desired.state == "running":
        return "start", seen.detail or "Starting the proxy and the hub"
    return "stop", "Stopping the hub and its servers"


def _told_once(progress: StepReport) -> Callable[[str, str], None]:
    """Reports a step only when it differs from the one before."""
    last: list[tuple[str, str]] = []

    def tell(step: str, message: str) -> None:
        if last[-1:] != [(step, message)]:
            last.append((step, message))
            progress(step, message)

    return tell


def _remove(folder: HubFolder, *, keep_data: bool) -> None:
    """Takes away all but the wish itself, what was seen, and the data where it is to stay."""
    folder.secrets_file.unlink(missing_ok=True)
    if not keep_data:
        for whole in (folder.run, folder.logs):
            if whole.exists():
                shutil.rmtree(whole)
        return
    kept = {folder.homes.name, "jupyterhub.sqlite"}
    for entry in folder.run.iterdir() if folder.run.is_dir() else ():
        if entry.name in kept:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
