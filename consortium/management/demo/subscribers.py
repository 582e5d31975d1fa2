"""Somebody who gets the status page by mail, in French. Safe to start over."""

from datetime import datetime

from provisioning.models import StatusSubscription

SUBSCRIBER = "etat@demo.example"


def tell_subscriber(*, at: datetime) -> None:
    """Write a confirmed subscription to all hubs, unless there is one."""
    StatusSubscription.objects.get_or_create(
        email=SUBSCRIBER, defaults={"language": "fr", "wanted_language": "fr", "asked_at": at, "confirmed_at": at}
    )
