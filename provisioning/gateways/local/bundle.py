"""What a university takes away from a hub: enough to set the hub up elsewhere with the public chart."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from provisioning.gateways.local.files import write_atomically
from provisioning.specs import HubSpec, existing_secret_name, render_values, spec_hash

_README = """\
# {name}

This bundle describes the hub `{slug}` completely but for its people's files and its secrets.

- `values.yaml`: values for the Zero to JupyterHub Helm chart.
- `spec.json`: the specification that they were made from (SHA-256 {hash}).
- `SHA256SUMS`: check with `sha256sum -c SHA256SUMS`.

To set it up in a cluster, with `CHART` naming the chart:

1. `kubectl create namespace {slug}`
2. Make the secret `{secret}` there: it carries what the sign-on needs to know.
3. `helm upgrade --install {slug} CHART --namespace {slug} --values values.yaml`
"""


def write_bundle(spec: HubSpec, *, into: Path, more: Mapping[str, str] | None = None) -> Path:
    """Writes `<slug>-take-away.zip`; equal specs make equal files, to the byte. `more` are further files by name."""
    contents = {
        **(more or {}),
        "README.md": _README.format(
            name=spec.display_name, slug=spec.slug, hash=spec_hash(spec), secret=existing_secret_name(spec)
        ),
        "spec.json": json.dumps(_plain(spec), indent=2, sort_keys=True) + "\n",
        "values.yaml": yaml.safe_dump(render_values(spec), sort_keys=True, allow_unicode=True),
    }
    sums = [f"{hashlib.sha256(text.encode()).hexdigest()}  {name}" for name, text in sorted(contents.items())]
    contents["SHA256SUMS"] = "\n".join(sums) + "\n"
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{spec.slug}-take-away.zip"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression=zipfile.ZIP_DEFLATED) as bundle:
        for name, text in sorted(contents.items()):
            bundle.writestr(zipfile.ZipInfo(f"{spec.slug}/{name}", date_time=(1980, 1, 1, 0, 0, 0)), text)
    # For the portal alone: a bundle names people.
    write_atomically(path, packed.getvalue())
    return path


def _plain(spec: HubSpec) -> dict[str, object]:
    """The spec as JSON has it, sets in order."""
    content: dict[str, object] = spec.model_dump(mode="json")
    sign_on = content["sign_on"]
    if isinstance(sign_on, dict):
        content["sign_on"] = {
            key: sorted(value) if isinstance(value, list) else value for key, value in sign_on.items()
        }
    return content
