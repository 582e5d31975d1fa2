"""The key of each member under which its hub users become pseudonyms: random, sealed, made once."""

import secrets
from datetime import datetime
from uuid import UUID

from django.db import transaction

from consortium.kernel import audit
from consortium.kernel.errors import Missing
from consortium.kernel.secrets import seal, unseal
from members.models import Institution, MemberKey

BYTES = 32


class NoMemberKey(Missing):
    """The institution has no key yet, so nobody there can have a pseudonym."""

    code = "no_member_key"


def _owner(institution_id: UUID) -> str:
    return f"institution:{institution_id}"


@transaction.atomic
def make_member_key(institution: Institution, *, at: datetime) -> MemberKey:
    """Make the institution's key of 256 random bits; a second call returns the first one.

    Done by the program when an agreement comes into force; nobody chooses or sees a key.
    """
    sealed = seal(secrets.token_bytes(BYTES), owner=_owner(institution.pk))
    key, made = MemberKey.objects.get_or_create(institution=institution, defaults={"sealed": sealed, "created_at": at})
    if made:
        audit.record("members.key_made", key, by=audit.System("members"), at=at, institution_id=institution.pk)
    return key


def member_key(institution_id: UUID) -> bytes:
    """Return the key, opened. Raises NoMemberKey; SecretUnreadable when it was sealed for another institution."""
    sealed = MemberKey.objects.filter(institution_id=institution_id).values_list("sealed", flat=True).first()
    if sealed is None:
        raise NoMemberKey("This institution has no key for pseudonyms yet: its agreement must be in force first.")
    return unseal(sealed, owner=_owner(institution_id))
