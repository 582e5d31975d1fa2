"""What is on the volumes of a cluster: a folder of this machine for each claim, empty when the claim is new."""

from pathlib import Path

from tests.cluster.resources import Key
from tests.cluster.store import Store


class Volumes:
    """A claim that was deleted and made again is another claim, and so another folder."""

    def __init__(self, store: Store, root: Path) -> None:
        self._store, self._root = store, root

    def of(self, namespace: str, claim: str) -> Path:
        """The folder of a claim that exists."""
        found = self._store.get(Key("v1", "persistentvolumeclaims", namespace, claim))
        folder = self._root / str(found["metadata"]["uid"])
        folder.mkdir(parents=True, exist_ok=True)
        return folder
