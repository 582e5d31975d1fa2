"""Subscribing and leaving. Nobody learns here whether an address is subscribed: that is told by mail alone.

An address is written to at most once in an hour because somebody typed it, whoever and how often that is.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.core import signing
from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Invalid, Missing
from consortium.kernel.language import first_language
from consortium.kernel.secrets import token_hash
from consortium.models import OutgoingMail
from provisioning.models import Hub, StatusSubscription

VISITOR: Final = audit.System("visitor")
PRUNER: Final = audit.System("upkeep")
CONFIRM_WITHIN: Final = timedelta(hours=48)
ONCE_IN: Final = timedelta(hours=1)
TEMPLATES: Final = ("status_confirm", "status_incident", "status_maintenance")
_SALT: Final = "provisioning.status_mail.leave"


class LinkUnknown(Missing):
    """A link that never was one, was used, or is too old."""

    code = "link_unknown"


@transaction.atomic
def ask(*, email: str, language: str, hub_slugs: Sequence[str], at: datetime) -> None:
    """Will send a link to the address that confirms what is wanted, unless one went there within the hour.

    It may be a new subscription or other hubs or another language for one that exists. Raises Invalid for hubs that
    there are not. Needs a consortium scope.
    """
    known = set(Hub.objects.filter(slug__in=hub_slugs).values_list("slug", flat=True))
    if set(hub_slugs) - known:
        raise Invalid(_("Choose hubs from the list, or none for all."), field="hubs")
    wanted = {"wanted_language": first_language(language), "wanted_slugs": sorted(known), "asked_at": at}
    row = StatusSubscription.objects.select_for_update().filter(email__iexact=email.strip()).first()
    if row is None:
        row, made = StatusSubscription.objects.get_or_create(email=email.strip().lower(), defaults=wanted)
        if not made:
            return
    elif row.asked_at > at - ONCE_IN:
        return
    else:
        StatusSubscription.objects.filter(pk=row.pk).update(**wanted)
    audit.record(
        "provisioning.status_asked",
        row,
        by=VISITOR,
        at=at,
        institution_id=None,
        deliver_to=("provisioning.mail_status_confirm",),
    )


def pending(token: str, *, at: datetime) -> StatusSubscription:
    """Will return what the link of a mail confirms. Raises LinkUnknown."""
    row = StatusSubscription.objects.filter(token_hash=token_hash(token), asked_at__gt=at - CONFIRM_WITHIN).first()
    if row is None:
        raise LinkUnknown(_("This link was used, or is older than two days. Subscribe again to get a new one."))
    return row


@transaction.atomic
def confirm(token: str, *, at: datetime) -> StatusSubscription:
    """Will subscribe the address to what it wanted; the link works once. Raises LinkUnknown."""
    row = pending(token, at=at)
    kept = StatusSubscription.objects.filter(pk=row.pk, token_hash=row.token_hash).update(
        token_hash="", confirmed_at=at, language=row.wanted_language, hub_slugs=row.wanted_slugs
    )
    if not kept:
        raise LinkUnknown(_("This link was used, or is older than two days. Subscribe again to get a new one."))
    audit.record("provisioning.status_subscribed", row, by=VISITOR, at=at, institution_id=None)
    row.refresh_from_db()
    return row


def leave_token(row: StatusSubscription) -> str:
    """Will return the part of the address that unsubscribes this one; it is signed, and stored nowhere."""
    return signing.Signer(salt=_SALT).sign(str(row.pk))


def leaving(token: str) -> StatusSubscription | None:
    """Will return whom a link unsubscribes, None for one who has left. Raises LinkUnknown for a forged one."""
    try:
        key = UUID(signing.Signer(salt=_SALT).unsign(token))
    except (signing.BadSignature, ValueError) as error:
        raise LinkUnknown(_("This link is not whole. Copy all of it from the mail.")) from error
    return StatusSubscription.objects.filter(pk=key).first()


@transaction.atomic
def leave(token: str, *, at: datetime) -> None:
    """Will delete the subscription and every mail that went to it; a second time nothing happens. Raises LinkUnknown.

    Needs a consortium scope.
    """
    row = leaving(token)
    if row is not None:
        forget(row, by=VISITOR, at=at)


@transaction.atomic
def forget(row: StatusSubscription, *, by: audit.Actor | audit.System, at: datetime) -> None:
    """Will delete the address wherever subscribing has put it. Needs a consortium scope."""
    audit.record("provisioning.status_left", row, by=by, at=at, institution_id=None)
    OutgoingMail.objects.filter(recipient__iexact=row.email, template__in=TEMPLATES).delete()
    StatusSubscription.objects.filter(pk=row.pk).delete()


def forget_unconfirmed(*, at: datetime) -> int:
    """Will delete whoever did not follow the link in time, and links that were not followed; returns how many.

    Needs a consortium scope.
    """
    old = StatusSubscription.objects.filter(asked_at__lte=at - CONFIRM_WITHIN).exclude(
        token_hash="", confirmed_at__isnull=False
    )
    rows = list(old)
    for row in rows:
        if row.confirmed_at is None:
            forget(row, by=PRUNER, at=at)
        else:
            StatusSubscription.objects.filter(pk=row.pk).update(token_hash="")
    return len(rows)
