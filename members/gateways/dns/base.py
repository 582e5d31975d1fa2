"""What the portal asks of the DNS, and how it fails."""

from dataclasses import dataclass
from typing import Protocol

from consortium.kernel.errors import PortalError


class DnsError(PortalError):
    """The DNS gave no answer. `permanent` tells that asking again will not help, such as for a name that is none."""

    code = "dns_error"
    status = 502

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True)
class TxtAnswer:
    """The TXT records of a name, each with its strings joined; none when the name or the records do not exist."""

    records: tuple[str, ...]
    name_exists: bool


class DnsGateway(Protocol):
    """Whoever can look up TXT records."""

    def txt(self, name: str) -> TxtAnswer:
        """Will return the TXT records of `name`, following CNAMEs. Raises DnsError when nobody could say."""
