"""The audit trail: who did what to which object, when, in the same transaction as the change.

Events are append-only and hash-chained per institution by a trigger. They hold ids, states, amounts and salted
digests, never personal data, so that a person's data can be erased and the chain still verifies.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, models

from consortium.kernel.money import plain
from consortium.kernel.tenancy import current_scope
from consortium.models import AuditEvent, Delivery

Fact = str | int | bool | Decimal | date | datetime | UUID | None


class Actor(Protocol):
    """Whoever acts: a person with a key."""

    @property
    def pk(self) -> Any:
        """The key of the person."""


@dataclass(frozen=True)
class System:
    """An actor that is a program, such as "meter" or "stripe"."""

    name: str
    pk: None = None


def digest(text: str) -> str:
    """A salted digest of personal text: comparable, not readable."""
    return hmac.new(settings.AUDIT_SALT.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def _fact(value: Fact) -> str | int | bool | None:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return str(value)


def record(
    action: str,
    obj: models.Model,
    *,
    by: Actor | System,
    at: datetime,
    institution_id: UUID | None,
    before: Mapping[str, Fact] | None = None,
    after: Mapping[str, Fact] | None = None,
    reason: str = "",
    deliver_to: Iterable[str] = (),
) -> AuditEvent:
    """Write one event, and one outbox row for each receiver in `deliver_to`.

    `action` is "app.past_tense", such as "billing.invoice_issued"; `before` and `after` hold facts that are not
    personal (digest the others); `reason` is kept as a digest.
    """
    happened = Happened(obj, institution_id=institution_id, before=before or {}, after=after or {})
    (event,) = record_all(action, [happened], by=by, at=at, reason=reason, deliver_to=deliver_to)
    return event


@dataclass(frozen=True)
class Happened:
    """What an action did to one object of several: the facts before and after it."""

    obj: models.Model
    institution_id: UUID | None = None
    before: Mapping[str, Fact] = field(default_factory=dict)
    after: Mapping[str, Fact] = field(default_factory=dict)


def record_all(
    action: str,
    happened: Sequence[Happened],
    *,
    by: Actor | System,
    at: datetime,
    reason: str = "",
    deliver_to: Iterable[str] = (),
) -> list[AuditEvent]:
    """Write one event for each object of one action, in their order, by one statement; otherwise as `record`."""
    scope, request = current_scope(), str(structlog.contextvars.get_contextvars().get("request_id", ""))
    events = AuditEvent.objects.bulk_create(
        AuditEvent(
            institution_id=each.institution_id,
            at=at,
            actor_id=by.pk,
            actor_kind=by.name if isinstance(by, System) else "person",
            action=action,
            object_type=each.obj._meta.label,  # noqa: SLF001 - the model's public name
            object_id=str(each.obj.pk),
            before={key: _fact(value) for key, value in each.before.items()},
            after={key: _fact(value) for key, value in each.after.items()},
            reason_digest=digest(reason) if reason else "",
            request_id=request,
            scope=scope,
        )
        for each in happened
    )
    Delivery.objects.bulk_create(
        Delivery(event=event, institution_id=event.institution_id, receiver=receiver, next_at=at)
        for receiver in deliver_to
        for event in events
    )
    return events


@dataclass(frozen=True)
class Fault:
    """Where a chain does not hold."""

    chain: str
    seq: int
    message: str


def verify(chains: Iterable[str] | None = None) -> list[Fault]:
    """Recompute every chain and return what does not hold: edits, drops, reorders, a head that differs.

    Needs a consortium scope, so that every event is visible.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH linked AS (
                SELECT chain, seq, prev_hash, hash, portal_audit_hash(e) AS expected,
                       lag(hash) OVER w AS before_hash, lag(seq) OVER w AS before_seq
                FROM consortium_auditevent e
                WINDOW w AS (PARTITION BY chain ORDER BY seq)
            ), heads AS (
                SELECT h.chain, h.seq, h.hash, l.hash AS last_hash
                FROM consortium_audithead h LEFT JOIN linked l ON l.chain = h.chain AND l.seq = h.seq
            )
            SELECT chain, seq, 'the event was edited' FROM linked WHERE hash <> expected
            UNION ALL
            SELECT chain, seq, 'an event before this one was dropped or moved' FROM linked
                WHERE coalesce(before_seq, 0) <> seq - 1 OR prev_hash <> coalesce(before_hash, '')
            UNION ALL
            SELECT chain, seq, 'the newest event was dropped or replaced' FROM heads
                WHERE last_hash IS DISTINCT FROM hash
            UNION ALL
            SELECT DISTINCT l.chain, 0::bigint, 'the chain has no head' FROM linked l
                WHERE NOT EXISTS (SELECT 1 FROM consortium_audithead h WHERE h.chain = l.chain)
            ORDER BY 1, 2
            """
        )
        faults = [Fault(str(chain), int(seq), str(message)) for chain, seq, message in cursor.fetchall()]
    wanted = None if chains is None else set(chains)
    return [fault for fault in faults if wanted is None or fault.chain in wanted]
