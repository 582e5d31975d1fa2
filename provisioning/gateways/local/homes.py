"""People's files of a local hub as one archive, each file with its checksum."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

from provisioning.gateways.base import GatewayError


class HomesUnreadableError(GatewayError):
    """A file changed or vanished while it was read, or cannot be read."""

    def __init__(self, slug: str, reason: str) -> None:
        super().__init__(f"the homes of hub {slug} cannot be exported: {reason}; try again", permanent=False)


def pack_homes(homes: Path, *, slug: str, into: Path) -> Path:
    """Will write `<slug>-homes.tar.gz`: plain files and folders below `homes`, and their SHA256SUMS.

    Links, devices and sockets are left out: what they point to may lie outside, and a student may have made them.
    Raises HomesUnreadableError.
    """
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{slug}-homes.tar.gz"
    sums: list[str] = []
    try:
        with tarfile.open(path, "w:gz") as archive:
            for file in _files(homes):
                name = file.relative_to(homes).as_posix()
                sums.append(f"{_add(archive, file, f'{slug}/{name}')}  {name}")
            _add_text(archive, f"{slug}/SHA256SUMS", "\n".join(sums) + "\n" if sums else "")
    except OSError as error:
        raise HomesUnreadableError(slug, str(error)) from error
    path.chmod(0o600)
    return path


def _files(homes: Path) -> list[Path]:
    found = []
    for folder, _folders, names in os.walk(homes, followlinks=False):
        found += [Path(folder, name) for name in names]
    return sorted(file for file in found if file.is_file() and not file.is_symlink())


def _add(archive: tarfile.TarFile, file: Path, name: str) -> str:
    """Add one file as it is now; returns its SHA-256. It is read once, so the sum is of what was packed."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as stream:
        content = stream.read()
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    archive.addfile(member, io.BytesIO(content))
    return hashlib.sha256(content).hexdigest()


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(text.encode())
    archive.addfile(member, io.BytesIO(text.encode()))
