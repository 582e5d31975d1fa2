"""Addresses that need no account are limited for each visitor: they hash uploads, call providers and write rows.

Nothing can be guessed there, secrets have 256 bits; so unlike the limits on passwords this one lets everybody through
while Redis is away.
"""

from collections.abc import Callable
from typing import Any, Final

import structlog
from allauth.account.adapter import get_adapter
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from redis.exceptions import RedisError

from consortium.kernel.clock import now

log = structlog.get_logger(__name__)

A_MINUTE: Final = 120
LIMITED: Final = frozenset(
    {
        "agreement_sign",
        "agreement_sign_french",
        "invitation",
        "mail_webhook",
        "pay",
        "pay_dispute",
        "pay_dispute_choose",
        "pay_dispute_line",
        "pay_dispute_withdraw",
        "pay_fresh",
        "pay_pdf",
        "pay_question",
        "pay_receipt",
        "pay_return",
        "pay_share",
        "pay_xml",
        "sign_on_acs",
        "sign_on_begin",
        "sign_on_callback",
        "sign_on_finish",
        "status_confirm",
        "status_leave",
        "status_subscribe",
        "verify_document",
    }
)


class FloodMiddleware:
    """Answer 429 to a visitor who asks for one of the open addresses more than 120 times in a minute."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; `process_view` knows where it goes."""
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Count, and stop what is too much."""
        del view, args, kwargs
        route = request.resolver_match.url_name if request.resolver_match else None
        if route not in LIMITED or _counted(request, route) <= A_MINUTE:
            return None
        log.warning("flood.stopped", route=route)
        response = render(request, "429.html", status=429)
        response["Retry-After"] = "60"
        return response


def _counted(request: HttpRequest, route: str) -> int:
    """How many times this visitor has asked for the route in this minute, this time included; 0 while Redis is away."""
    key = f"flood:{route}:{get_adapter().get_client_ip(request)}:{now():%H%M}"
    try:
        cache.add(key, 0, timeout=120)
        return int(cache.incr(key))
    except RedisError as error:
        log.warning("limiter.unreachable", error=type(error).__name__)
        return 0
    except ValueError:  # it fell out between the two
        return 1
