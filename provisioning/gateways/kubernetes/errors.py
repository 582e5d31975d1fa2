"""What goes wrong with a hub on a cluster, for the person who must know."""

from provisioning.gateways.base import GatewayError, Observed


class UnknownHubError(GatewayError):
    """Nobody has ever wanted this hub here, or it has been destroyed."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"there is no hub {slug} on this cluster; provision it first", permanent=True)


class NotRunningError(GatewayError):
    """Only a running hub can be asked this."""

    def __init__(self, slug: str, state: str) -> None:
        super().__init__(f"hub {slug} is {state} and cannot be asked now", permanent=False)


class NotInTimeError(GatewayError):
    """The hub did not become what is wanted by its deadline; the cluster still works on it."""

    def __init__(self, slug: str, *, wanted: str, seconds: float, seen: Observed) -> None:
        detail = f": {seen.detail}" if seen.detail else ""
        super().__init__(
            f"hub {slug} is {seen.state}, not {wanted}, after {seconds:.0f} s{detail}; the cluster still works on it",
            permanent=False,
        )


class BusyError(GatewayError):
    """Another worker holds this hub; two at once would undo each other."""

    def __init__(self, slug: str, seconds: float) -> None:
        super().__init__(
            f"another worker is at hub {slug} for up to {seconds:.0f} s more; wait for it", permanent=False
        )


class ForeignNamespaceError(GatewayError):
    """A namespace of that name exists and the portal did not make it."""

    def __init__(self, namespace: str) -> None:
        super().__init__(
            f"the cluster has a namespace {namespace} that the portal did not make; rename it or give the hub "
            "another short name",
            permanent=True,
        )


class MissingClientSecretError(GatewayError):
    """A hub that signs on elsewhere cannot do so without its secret there."""

    def __init__(self, slug: str) -> None:
        super().__init__(
            f"hub {slug} signs on through its university and its client secret is not stored; "
            "store it with store_client_secret and try again",
            permanent=True,
        )


class ReleaseUnfinishedError(GatewayError):
    """Helm said that all was well, and its own record says otherwise."""

    def __init__(self, slug: str, status: str) -> None:
        super().__init__(f"Helm could not note that the release of hub {slug} is done: it is {status}", permanent=False)
