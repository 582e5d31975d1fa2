"""Each SAML assertion is good once. The database says so, and keeps its words sealed until its browser comes for them.

The answer is posted from another site, and a browser sends no session with such a post: so the post is checked and put
down here under a random ticket, and the browser comes back with the ticket and its session.
"""

import hashlib
import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from consortium.kernel.secrets import new_token, seal, token_hash, unseal
from members.models import SignOn, UsedAssertion
from members.sign_on.claims import Claims
from members.sign_on.errors import SignOnRefused
from members.sign_on.saml import Answer

WAITS: Final = timedelta(minutes=2)


def _owner(sign_on_id: object) -> str:
    return f"assertion:{sign_on_id}"


@transaction.atomic
def put_down(sign_on: SignOn, answer: Answer, *, at: datetime) -> str:
    """Use the assertion up and return the ticket for what it said. Raises SignOnRefused when it came before."""
    ticket = new_token()
    digest = hashlib.sha256(f"{sign_on.issuer}\n{answer.assertion_id}".encode()).hexdigest()
    try:
        with transaction.atomic():
            UsedAssertion.objects.create(
                institution_id=sign_on.institution_id,
                sign_on=sign_on,
                assertion_digest=digest,
                ticket_hash=token_hash(ticket),
                in_response_to=answer.in_response_to,
                sealed=seal(json.dumps(asdict(answer.claims)).encode(), owner=_owner(sign_on.pk)),
                at=at,
            )
    except IntegrityError as error:
        raise SignOnRefused(
            _("This answer of your university's sign-in service was used already. Begin again."),
            reason="replay: the assertion or its request was used before",
        ) from error
    return ticket


@transaction.atomic
def pick_up(ticket: str, *, at: datetime) -> tuple[UsedAssertion, Claims]:
    """Return what the ticket stands for, once, within two minutes. Raises SignOnRefused."""
    row = UsedAssertion.objects.select_related("sign_on__institution").filter(ticket_hash=token_hash(ticket)).first()
    fresh = UsedAssertion.objects.filter(ticket_hash=token_hash(ticket), fetched_at=None, at__gt=at - WAITS)
    if row is None or not fresh.update(fetched_at=at, sealed=""):
        raise SignOnRefused(
            _("This sign-in took too long or was finished already. Begin again."), reason="the ticket is not good"
        )
    said = json.loads(unseal(row.sealed, owner=_owner(row.sign_on_id)))
    said["affiliations"] = tuple(said["affiliations"])
    said["released"] = {name: tuple(values) for name, values in said["released"].items()}
    return row, Claims(**said)


def forget_words(*, at: datetime) -> int:
    """Wipe what nobody came for; the ids stay, so that no assertion is good again. Beat calls it."""
    return UsedAssertion.objects.filter(at__lte=at - WAITS).exclude(sealed="").update(sealed="")
