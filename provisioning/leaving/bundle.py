"""The take-away bundle: what the driver writes of the hub, and what the rest of the portal has to add to it."""

import csv
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from consortium.kernel.clock import now
from consortium.kernel.exports import safe_cell
from consortium.kernel.periods import local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.drivers import target_of
from provisioning.exports import usage_csv
from provisioning.gateways.base import HubDriver
from provisioning.gateways.local.files import write_atomically
from provisioning.leaving.runbook import runbook
from provisioning.models import Hub
from provisioning.queries import day_series
from provisioning.specs import CILogonSignOn, HubSpec, LocalSignOn, OidcSignOn

type Parts = Mapping[str, bytes]
type PartMaker = Callable[[Hub], Parts]

SUMS = "SHA256SUMS"
_makers: list[PartMaker] = []


def bundle_part(make: PartMaker) -> PartMaker:
    """Registers what another part of the portal adds to every bundle: files by name, made in a scope that sees all."""
    _makers.append(make)
    return make


def take_away(hub: Hub, spec: HubSpec, driver: HubDriver, *, into: Path) -> Path:
    """Will write `<slug>-take-away.zip` with everything that the university takes along but homes and secrets.

    Raises GatewayError.
    """
    path = driver.take_away(target_of(hub), spec, into=into)
    with consortium_scope(Scope.JOB):
        parts = {**_own_parts(hub, spec)}
        for make in _makers:
            parts.update(make(hub))
    return complete(path, parts)


def complete(path: Path, parts: Parts) -> Path:
    """Adds files to a bundle and sums all of them anew; equal contents make equal bundles, to the byte."""
    contents = {**files_of(path), **parts}
    contents.pop(SUMS, None)
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in sorted(contents.items())]
    contents[SUMS] = ("\n".join(sums) + "\n").encode()
    slug = path.name.removesuffix("-take-away.zip")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression=zipfile.ZIP_DEFLATED) as bundle:
        for name, content in sorted(contents.items()):
            bundle.writestr(zipfile.ZipInfo(f"{slug}/{name}", date_time=(1980, 1, 1, 0, 0, 0)), content)
    write_atomically(path, packed.getvalue())
    return path


def files_of(path: Path) -> dict[str, bytes]:
    """The files of a bundle by their names within it."""
    with zipfile.ZipFile(path) as bundle:
        return {name.partition("/")[2]: bundle.read(name) for name in bundle.namelist()}


def damaged_files(contents: Parts) -> list[str]:
    """The files that are not what SHA256SUMS says, or not in it."""
    lines = (line.split("  ", 1) for line in contents[SUMS].decode().splitlines())
    told = {name: digest for digest, name in lines}
    found = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items() if name != SUMS}
    return sorted(name for name in told.keys() | found.keys() if told.get(name) != found.get(name))


def users_csv(spec: HubSpec) -> str:
    """Who may sign in, one rule a line: a name, an administrator's name, a group or a domain."""
    sign_on = spec.sign_on
    rules = [("user", name) for name in sorted(sign_on.allowed_users)]
    rules += [("admin", name) for name in sorted(sign_on.admins)]
    match sign_on:
        case OidcSignOn():
            rules += [("group", name) for name in sorted(sign_on.allowed_groups)]
        case CILogonSignOn():
            rules += [("domain", name) for name in sorted(sign_on.allowed_domains)]
        case LocalSignOn():
            pass
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(("rule", "name"))
    writer.writerows([(rule, safe_cell(name)) for rule, name in rules])
    return file.getvalue()


def _own_parts(hub: Hub, spec: HubSpec) -> dict[str, bytes]:
    end = local_date(now(), hub.zone) + timedelta(days=1)
    first = local_date(hub.running_at, hub.zone) if hub.running_at else end
    days = day_series(first=first, end=end, hub=hub)
    texts = {"users.csv": users_csv(spec), "usage.csv": usage_csv(days), "RUNBOOK.md": runbook(hub, spec)}
    return {name: text.encode() for name, text in texts.items()}
