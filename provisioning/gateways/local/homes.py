"""People's files of a local hub: all as one archive with checksums, or home by home as they move elsewhere."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

from provisioning.gateways import carrier
from provisioning.gateways.base import GatewayError
from provisioning.gateways.carrier import Sums
from provisioning.gateways.carrying import Home, HomeDamagedError, HomeRefusedError
from provisioning.specs import CHECK_USER


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


def list_homes(homes: Path) -> list[Home]:
    """The homes below the folder, the synthetic user's left out."""
    found = homes.iterdir() if homes.is_dir() else ()
    names = sorted(entry.name for entry in found if entry.is_dir() and not entry.is_symlink())
    return [Home(user=name) for name in names if name != CHECK_USER]


def read_home(homes: Path, home: Home, *, into: Path) -> tuple[Path, Sums]:
    """Will write one home's archive into the folder; returns it with its sums. Raises HomeDamagedError."""
    path = into / f"{hashlib.sha256(home.key.encode()).hexdigest()[:16]}.tar.gz"
    try:
        with path.open("wb") as file:
            carrier.pack(_folder(homes, home), file)
        return path, carrier.sums(_folder(homes, home))
    except OSError as error:
        raise HomeDamagedError(type(error).__name__) from error


def write_home(homes: Path, home: Home, archive: Path, *, owner: tuple[int, int]) -> Sums:
    """Will put the archive in place of the home; returns the sums of what then lies there.

    Raises HomeRefusedError for the home of a named server, which local hubs do not have; HomeDamagedError.
    """
    if home.server:
        raise HomeRefusedError("local hubs keep one home per person, and this person has one for a named server")
    folder = _folder(homes, home)
    try:
        if not homes.is_dir():
            homes.mkdir(mode=0o755, parents=True)
            os.chown(homes, *owner)
        with archive.open("rb") as file:
            carrier.unpack(file, folder, owner)
        return carrier.sums(folder)
    except (OSError, EOFError, tarfile.TarError, carrier.ArchiveRefusedError) as error:
        raise HomeDamagedError(type(error).__name__) from error


def _folder(homes: Path, home: Home) -> Path:
    """The person's folder; a name from elsewhere must not lead out of the homes."""
    if "/" in home.user or home.user in {"", ".", ".."}:
        raise HomeRefusedError("its person's name is no name of a folder")
    folder = homes / home.user
    if folder.is_symlink():
        raise HomeRefusedError("a link stands where the home should be")
    return folder


def homes_bytes(homes: Path) -> int:
    """Will return how many bytes the files below `homes` take on the disk; what vanishes meanwhile is not there."""
    total = 0
    for folder, _folders, names in os.walk(homes, followlinks=False):
        for name in names:
            try:
                total += os.lstat(Path(folder, name)).st_blocks * 512
            except OSError:
                continue
    return total
