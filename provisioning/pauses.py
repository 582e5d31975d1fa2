"""Keeps the history of a hub's sleep beside its state. The caller holds the hub's row and has its transaction open."""

from datetime import datetime

from provisioning.models import Hub, HubPause


def note_pause(hub: Hub, *, to: str, at: datetime) -> None:
    """Will begin or end a pause as the hub goes into another state; what did not pause has none to end.

    A suspended hub that is being retired stays paused, and is paused for good once it is retired.
    """
    if to not in {"suspended", "retiring"}:
        HubPause.objects.filter(hub=hub, ended_at=None).update(ended_at=at)
    if to in {"suspended", "retired"}:
        HubPause.objects.create(institution_id=hub.institution_id, hub=hub, reason=to, started_at=at)
