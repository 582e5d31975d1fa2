"""The newcomer proves its domain: the demo's DNS publishes the record, and the portal finds it there."""

import time
from pathlib import Path

from consortium.embedded.dns_server import publish
from consortium.kernel.clock import now
from consortium.kernel.tenancy import institution_scope
from members.domains import add_domain, check_domain, listed_domains, record_name, record_value
from members.gateways.dns import DnsError
from members.models import Domain, Institution, User

TRIES, PAUSE_SECONDS = 20, 0.25  # the DNS server may still be starting


def tell_domains(*, institution: Institution, by: User, home: Path) -> Domain:
    """List the institution's domain, publish its record and verify it; a second run finds it verified.

    Where DNS_RESOLVER names a real server the domain stays to be verified there. Raises DnsError when ours is silent.
    """
    with institution_scope(institution.pk):
        domain = listed_domains(institution).filter(name=institution.domain).first()
        if domain is None:
            domain = add_domain(institution=institution, name=institution.domain, by=by, at=now())
        rows = list(listed_domains(institution))
    publish(home / "dns" / "zone", {record_name(row): [record_value(row)] for row in rows})
    for turn in range(TRIES if domain.status != "verified" else 0):
        try:
            with institution_scope(institution.pk):
                check_domain(domain, by=by, at=now())
            break
        except DnsError:
            if turn == TRIES - 1:
                raise
            time.sleep(PAUSE_SECONDS)
    return domain
