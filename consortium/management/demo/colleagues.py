"""A colleague who is invited and has not answered yet: the mailbox of the demonstration holds the link."""

from datetime import datetime

from members.invitations import invite
from members.models import Institution, Invitation, User
from members.roles import Role

COLLEAGUE = "colleague@demo.example"


def tell_people(*, institution: Institution, owner: User, at: datetime) -> None:
    """Invite the colleague, unless an earlier run did. Needs a consortium scope."""
    if not Invitation.objects.filter(institution=institution, email=COLLEAGUE).exists():
        invite(institution=institution, email=COLLEAGUE, role=Role.TECHNICAL, language="fr", by=owner, at=at)
