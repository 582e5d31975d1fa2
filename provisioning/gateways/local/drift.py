"""Where a local hub's own files differ from what its spec makes of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provisioning.gateways.base import Difference
from provisioning.gateways.local.files import Desired, HubFolder, Secrets
from provisioning.gateways.local.launch import accounts, hub_settings

_SECRET = ("token", "secret", "salt", "hash")
_HIDDEN = "•••"
_MISSING = "(missing)"


def differences(folder: HubFolder, wanted: Desired, secrets: Secrets) -> list[Difference]:
    """Every place of the hub's configuration and accounts that is not as wanted, in order of its path."""
    pairs = (
        ("config", hub_settings(folder, wanted, secrets), folder.config_file),
        ("accounts", accounts(secrets), folder.accounts_file),
    )
    found = [difference for name, content, path in pairs for difference in _compare(name, content, _load(path))]
    return sorted(found, key=lambda difference: difference.path)


def _load(path: Path) -> Any:
    """The file's content; a file that is gone, or not JSON any more, has none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _compare(path: str, wanted: Any, found: Any) -> list[Difference]:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return [
            difference
            for key in sorted(wanted.keys() | found.keys())
            for difference in _compare(f"{path}.{key}", wanted.get(key), found.get(key))
        ]
    if wanted == found:
        return []
    return [Difference(path=path, wanted=_shown(path, wanted), found=_shown(path, found))]


def _shown(path: str, value: Any) -> str:
    if value is None:
        return _MISSING
    if isinstance(value, Mapping) or any(word in path for word in _SECRET):
        return _HIDDEN
    return json.dumps(value, sort_keys=True)
