"""A hub on a cluster as it is now: by the portal's record, by its Deployments, and by its own answer."""

from dataclasses import replace

from provisioning.gateways.base import GatewayError, HubState, Observed
from provisioning.gateways.jupyterhub.client import HubClient
from provisioning.gateways.kubernetes.api import ClusterApi
from provisioning.gateways.kubernetes.record import HubRecord
from provisioning.gateways.kubernetes.secret_store import portal_token
from provisioning.gateways.kubernetes.workloads import is_asleep, stuck, unready

ASK_SECONDS = 5.0


def observe(api: ClusterApi, slug: str, record: HubRecord | None, url: str) -> Observed:
    """What is seen; changes nothing. A hub that answers at `url` runs, whatever the cluster says beside it."""
    if record is None or not record.generation:
        return Observed(state=HubState.ABSENT)
    if record.wish == "absent":
        return Observed(state=HubState.ABSENT, generation=record.generation)
    if record.wish == "suspended":
        # It takes a spec in its sleep: what it will be when it wakes is all there is to see.
        state = HubState.SUSPENDED if is_asleep(api, slug) else HubState.STARTING
        return Observed(state=state, generation=record.generation, spec_hash=record.spec_hash)
    return replace(
        _awake(api, slug, record, url), generation=record.applied_generation, spec_hash=record.applied_spec_hash
    )


def _awake(api: ClusterApi, slug: str, record: HubRecord, url: str) -> Observed:
    if not record.applied:
        return Observed(state=HubState.STARTING, detail="its release is not installed yet")
    if why := unready(api, slug):
        failed = stuck(api, slug)
        return Observed(state=HubState.FAILED if failed else HubState.STARTING, detail=failed or why)
    version, why = ask(api, slug, url)
    if not version:
        return Observed(state=HubState.STARTING, detail=why)
    return Observed(state=HubState.RUNNING, url=url, version=version)


def ask(api: ClusterApi, slug: str, url: str) -> tuple[str, str]:
    """The hub's version by its own word, or why there is none."""
    token = portal_token(api, slug)
    if not token:
        return "", "the chart made no token for the portal yet"
    timeout = max(min(ASK_SECONDS, api.patience.left), 0.1)
    with HubClient(url, token, timeout_seconds=timeout) as client:
        try:
            return client.version(), ""
        except GatewayError as error:
            return "", error.message
