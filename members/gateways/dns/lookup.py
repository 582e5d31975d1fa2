"""TXT look-ups through dnspython."""

import dns.exception
import dns.name
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

from members.gateways.dns.base import DnsError, TxtAnswer

SECONDS = 5.0  # for all tries together: a person waits for it


class Resolver:
    """Asks one server, or those of the system."""

    def __init__(self, server: tuple[str, int] | None = None, *, seconds: float | None = None) -> None:
        self._server, self._seconds = server, SECONDS if seconds is None else seconds

    def txt(self, name: str) -> TxtAnswer:
        """Look up TXT records; a name that does not exist has none. Raises DnsError after `seconds` or a refusal."""
        try:
            answer = self._resolver().resolve(
                dns.name.from_text(name), "TXT", lifetime=self._seconds, search=False, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN:
            return TxtAnswer((), name_exists=False)
        except (dns.exception.SyntaxError, dns.name.LabelTooLong, dns.name.EmptyLabel, dns.name.NameTooLong) as error:
            raise DnsError(f"{name} is not a name that the DNS can look up.", permanent=True) from error
        except (dns.exception.DNSException, OSError) as error:
            raise DnsError(f"The DNS gave no answer for {name} ({type(error).__name__}).", permanent=False) from error
        records = [
            b"".join(record.strings).decode("utf-8", "replace")
            for record in answer.rrset or ()
            if isinstance(record, TXT)
        ]
        return TxtAnswer(tuple(sorted(records)), name_exists=True)

    def _resolver(self) -> dns.resolver.Resolver:
        if self._server is None:
            try:
                return dns.resolver.Resolver()
            except dns.resolver.NoResolverConfiguration as error:
                raise DnsError("This machine names no DNS server: set DNS_RESOLVER.", permanent=False) from error
        found = dns.resolver.Resolver(configure=False)
        found.nameservers, found.port = [self._server[0]], self._server[1]
        return found
