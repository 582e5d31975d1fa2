"""What the stories of invitations need: an invitation, and the link in the newest mail of an address."""

import re
from datetime import datetime

from allauth.account.models import EmailAddress

from consortium.kernel.secrets import token_hash
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import OutgoingMail
from members.invitations import invite
from members.models import Invitation, User
from members.roles import Role
from tests.cast import Cast
from tests.unit.members.story import deliver

LINK = re.compile(r"http://[^/\s]+(/(en|fr)/invitations/([\w-]+)/)")


def invited(
    cast: Cast, at: datetime, *, email: str = "stranger@people.example", role: str = Role.FINANCE, language: str = "en"
) -> Invitation:
    """The owner of cedar invites somebody."""
    with consortium_scope(Scope.COMMAND):
        return invite(institution=cast.university, email=email, role=role, language=language, by=cast.owner, at=at)


def link_to(email: str, at: datetime) -> str:
    """The path of the newest link that was mailed to the address."""
    deliver(at)
    with consortium_scope(Scope.COMMAND):
        mail = OutgoingMail.objects.filter(recipient=email, template="members_invitation").latest("id")
    found = LINK.search(mail.body)
    assert found, mail.body
    return found[1]


def hash_in(link: str) -> str:
    """How the secret of a link is stored."""
    return token_hash(link.rstrip("/").rpartition("/")[2])


def confirmed(person: User, email: str = "") -> User:
    """The person has confirmed that address, or the own one."""
    EmailAddress.objects.create(user=person, email=email or person.email, verified=True, primary=not email)
    return person
