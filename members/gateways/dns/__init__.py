"""Asking the DNS for TXT records: `resolver()` is the one that the environment names."""

from django.conf import settings

from members.gateways.dns.base import DnsError, DnsGateway, TxtAnswer
from members.gateways.dns.lookup import Resolver

__all__ = ["DnsError", "DnsGateway", "TxtAnswer", "resolver"]


def resolver() -> DnsGateway:
    """The resolver of DNS_RESOLVER (host:port), else the system's."""
    host, _, port = settings.DNS_RESOLVER.rpartition(":")
    return Resolver(server=(host.strip("[]"), int(port))) if host else Resolver()
