"""What operators do about moves, as acts of the hub's page in the admin site."""

from datetime import datetime

from django import forms

from consortium.kernel.errors import Invalid
from members.models import User
from members.permissions import Permission
from members.staff_admin import Act
from provisioning.models import Cluster, Hub, HubMove
from provisioning.moving.page import move_preview, under_way
from provisioning.moving.wanting import cancel_move, move_hub


class MoveForm(forms.Form):
    """Where to, why, and the short name typed out."""

    cluster = forms.ModelChoiceField(
        Cluster.objects.filter(retired_at=None), label="New cluster", help_text="Its room is in the table above."
    )
    reason = forms.CharField(
        max_length=300, widget=forms.Textarea(attrs={"rows": 3}), help_text="The university reads it."
    )
    typed = forms.CharField(
        label="Short name of the hub", max_length=40, help_text="Type it: everybody's server on it stops."
    )


class CancelForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        max_length=300, widget=forms.Textarea(attrs={"rows": 3}), help_text="The university reads it."
    )


def move(hub: Hub, *, cluster: Cluster, reason: str, typed: str, by: User, at: datetime) -> HubMove:
    """Move a hub whose name was typed out. Raises Invalid where it was not, and what move_hub raises."""
    if typed.strip() != hub.slug:
        raise Invalid(f"This is not the short name of this hub: {hub.slug}.", field="typed")
    return move_hub(hub, cluster=cluster, reason=reason, by=by, at=at)


MOVE_ACTS = (
    Act(
        name="move",
        label="Move to another cluster",
        explain=(
            "The hub is set up there, closed here, its homes are carried and compared by checksum, a synthetic user "
            "proves that people can work, the address is switched, and only then the old one is ended. "
            "Until the switch it can be taken back."
        ),
        form=MoveForm,
        run=move,
        states=("running", "degraded"),
        permission=Permission.OPERATE_HUBS,
        preview=move_preview,
        danger=True,
    ),
    Act(
        name="take-back",
        label="Take the move back",
        explain="The hub opens again where it was, and what was begun at the new place is ended.",
        form=CancelForm,
        run=cancel_move,
        states=("moving",),
        permission=Permission.OPERATE_HUBS,
        preview=under_way,
        danger=True,
    ),
)
