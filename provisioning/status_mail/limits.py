"""How often one visitor may have a mail sent to somebody: without the limiter, not at all."""

from typing import Final

import structlog
from allauth.account.adapter import get_adapter
from django.core.cache import cache
from django.http import HttpRequest
from redis.exceptions import RedisError

from consortium.kernel.clock import now

log = structlog.get_logger(__name__)

AN_HOUR: Final = 10


def may_ask(request: HttpRequest) -> bool:
    """Count this wish of the visitor's, and tell whether it is within ten in an hour; no while Redis is away."""
    key = f"status-mail:{get_adapter().get_client_ip(request)}:{now():%d%H}"
    try:
        cache.add(key, 0, timeout=3700)
        return int(cache.incr(key)) <= AN_HOUR
    except (RedisError, ValueError) as error:
        log.warning("limiter.unreachable", error=type(error).__name__)
        return False
