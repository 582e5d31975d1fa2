"""All homes as one archive that anybody can unpack and check: a folder for each person, and SHA256SUMS."""

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from provisioning.gateways.base import HubTarget
from provisioning.gateways.carrier import Sums
from provisioning.gateways.carrying import Home, HomeCarrier

SUMS = "SHA256SUMS"
_HEX = 64


def pack_carried(
    carrier: HomeCarrier,
    target: HubTarget,
    homes: Iterable[Home],
    *,
    into: Path,
    ask: Callable[[Callable[[], tuple[Path, Sums]]], tuple[Path, Sums]] = lambda read: read(),
) -> Path:
    """Will read the homes one by one into `<slug>-homes.tar.gz`; `ask` may read a home again when that fails.

    Raises GatewayError.
    """
    path = into / f"{target.slug}-homes.tar.gz"
    lines: list[str] = []
    with tarfile.open(path, "w:gz") as whole, TemporaryDirectory(dir=into) as folder:
        for home in homes:
            archive, sums = ask(partial(carrier.read_home, target, home, into=Path(folder)))
            with tarfile.open(archive, "r:gz") as part:
                for member in part:
                    content = part.extractfile(member) if member.isfile() else None
                    member.name = f"{target.slug}/{home.key}/{member.name}"
                    whole.addfile(member, content)
            archive.unlink()
            lines += [f"{found[:_HEX]}  {home.key}/{name}" for name, found in sorted(sums.items()) if _is_file(found)]
        text = "".join(f"{line}\n" for line in lines).encode()
        info = tarfile.TarInfo(f"{target.slug}/{SUMS}")
        info.size = len(text)
        whole.addfile(info, io.BytesIO(text))
    path.chmod(0o600)
    return path


def sums_of(archive: Path) -> dict[str, str]:
    """What the archive's own SHA256SUMS says: path below the homes to checksum."""
    with tarfile.open(archive, "r:gz") as whole:
        for member in whole:
            if member.name.endswith(f"/{SUMS}") and member.name.count("/") == 1:
                content = whole.extractfile(member)
                lines = (content.read() if content else b"").decode().splitlines()
                return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    return {}


@contextmanager
def split(archive: Path) -> Iterator[list[tuple[Home, Path]]]:
    """Each person's home as an archive of its own, for as long as the block lasts."""
    with TemporaryDirectory(prefix="homes-") as folder:
        parts: dict[str, tarfile.TarFile] = {}
        try:
            with tarfile.open(archive, "r:gz") as whole:
                for member in whole:
                    _slug, user, *rest = member.name.split("/")
                    if not rest:
                        continue
                    if user not in parts:
                        parts[user] = tarfile.open(Path(folder, f"{len(parts)}.tar.gz"), "w:gz")  # noqa: SIM115
                    content = whole.extractfile(member) if member.isfile() else None
                    member.name = "/".join(rest)
                    parts[user].addfile(member, content)
        finally:
            for part in parts.values():
                part.close()
        yield [(Home(user=user), Path(str(part.name))) for user, part in parts.items()]


def files_in(user: str, sums: Sums) -> dict[str, str]:
    """The checksums of files alone, named as SHA256SUMS names them."""
    return {f"{user}/{name}": found[:_HEX] for name, found in sums.items() if _is_file(found)}


def _is_file(found: str) -> bool:
    return found != "folder" and not found.startswith("link to ")
