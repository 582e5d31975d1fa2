"""What operators do to a hub that exists, as acts of its page in the admin site."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django import forms

from consortium.kernel.clock import now
from consortium.kernel.errors import Invalid
from consortium.models import Job
from members.models import User
from members.permissions import Permission
from members.staff_admin import Act
from provisioning.drift import check_drift, repair_hub
from provisioning.holds import hold_hub, hold_on, release_hub
from provisioning.lifecycle import act_under_way, resume_hub, retire_hub, suspend_hub
from provisioning.models import Hub

LIVE = ("running", "degraded", "updating", "moving", "failed", "suspended")


class ReasonForm(forms.Form):
    """Why; the university reads it."""

    reason = forms.CharField(max_length=300, widget=forms.Textarea(attrs={"rows": 3}))


class HoldForm(ReasonForm):
    """Why, and until when."""

    until = forms.DateTimeField(
        label="Until (UTC)",
        initial=lambda: (now() + timedelta(hours=4)).replace(second=0, microsecond=0),
        help_text="Nothing is done to the hub until then, or until it is released.",
    )


class RetireForm(ReasonForm):
    """Why, and the short name typed out."""

    typed = forms.CharField(label="Short name of the hub", max_length=40, help_text="Type it: there is no way back.")


def retire(hub: Hub, *, reason: str, typed: str, by: User, at: datetime) -> Job:
    """Retire a hub whose name was typed out. Raises Invalid where it was not, and what retire_hub raises."""
    if typed.strip() != hub.slug:
        raise Invalid(f"This is not the short name of this hub: {hub.slug}.", field="typed")
    return retire_hub(hub, reason=reason, by=by, at=at)


def look_again(hub: Hub, *, by: User, at: datetime) -> None:  # noqa: ARG001 - the signature of an act
    """Compare the hub with its spec now."""
    check_drift(hub, at=at)


def preview(hub: Hub) -> list[tuple[str, object]]:
    """How the hub is, before anything is done to it."""
    hold, act = hold_on(hub, at=now()), act_under_way(hub)
    rows: list[tuple[str, object]] = [
        ("University", hub.institution),
        ("Cluster", hub.cluster),
        ("Status", hub.status),
        ("Last seen well", hub.healthy_at or "never"),
        ("Held", f"until {hold.until:%Y-%m-%d %H:%M} UTC by {hold.held_by}: {hold.reason}" if hold else "no"),
        ("Under way", f"{act.kind} ({act.state}) {act.error}" if act else "nothing"),
    ]
    return rows + [(f"Differs: {each['path']}", f"{each['found']} instead of {each['wanted']}") for each in hub.drift]


def _act(
    name: str,
    label: str,
    explain: str,
    run: Callable[..., object],
    *,
    form: type[forms.Form] = forms.Form,
    states: tuple[str, ...] = LIVE,
    danger: bool = False,
) -> Act:
    return Act(
        name=name,
        label=label,
        explain=explain,
        form=form,
        run=run,
        states=states,
        permission=Permission.OPERATE_HUBS,
        preview=preview,
        danger=danger,
    )


LIFE_ACTS = (
    _act(
        "suspend",
        "Suspend",
        "Every server on it stops; files and settings stay. The owners are told with your reason.",
        suspend_hub,
        form=ReasonForm,
        states=("running", "degraded"),
        danger=True,
    ),
    _act("resume", "Wake", "The hub starts again.", resume_hub, states=("suspended",)),
    _act(
        "hold",
        "Hold",
        "Updates, suspension and repair wait until the hold ends; drift is recorded meanwhile.",
        hold_hub,
        form=HoldForm,
    ),
    _act("release", "Release the hold", "What waits goes on.", release_hub),
    _act("look", "Look for drift", "What runs is compared with the specification now.", look_again),
    _act(
        "repair",
        "Repair drift",
        "The hub is made equal to its specification again, as a new revision.",
        repair_hub,
        states=("running", "degraded", "failed"),
    ),
    _act(
        "retire",
        "Retire",
        "The hub is exported, ended and certified. There is no way back.",
        retire,
        form=RetireForm,
        states=("running", "degraded", "failed", "suspended"),
        danger=True,
    ),
)
