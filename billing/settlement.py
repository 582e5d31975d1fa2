"""What the payment provider tells us: proven, kept once, acted on once, in any order.

A message only says where to look. The provider is asked what is true now while the invoice's balance is locked, and our
payment moves forward only; so any permutation and number of copies ends in one state, and no more is ever counted than
was due.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, Q

from billing.balances import amount_due as amount_due  # noqa: PLC0414 - where its callers look for it
from billing.balances import lock, lock_all
from billing.card_disputes import keep_dispute
from billing.chart_of_accounts import Account
from billing.clearing import PROVIDER, record_charge
from billing.gateways import (
    CheckoutSession,
    GatewayError,
    GatewayEvent,
    PaymentGateway,
    PaymentIntent,
    ProviderMovement,
    current_gateway,
)
from billing.models import Payment, ProviderEvent
from billing.payouts import fetched, keep_payout, missing_of
from billing.receiving import receive
from billing.refunds import keep_refund
from billing.states import PAYMENT
from consortium.kernel import audit, jobs
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.money import plain
from consortium.kernel.tenancy import Scope, consortium_scope

log = structlog.get_logger(__name__)

LONGEST_WAIT: Final = timedelta(hours=1)
MONEY_BACK: Final = frozenset({"charge", "refund", "dispute"})
SUBJECTS: Final = MONEY_BACK | {"checkout.session", "payment_intent"}
CHARGE_NEWS: Final = frozenset({"charge.updated", "charge.refunded"})


def receive_event(
    payload: bytes, signature: str, *, at: datetime, gateway: PaymentGateway | None = None
) -> ProviderEvent:
    """Will prove a message of the provider and keep it, once, with the job that acts on it.

    A copy returns the first row. Raises WebhookRefusedError for a message that proves nothing.
    """
    gateway = gateway or current_gateway()
    message = gateway.verify_webhook(payload, signature, at=at)
    with transaction.atomic(), consortium_scope(Scope.WEBHOOK):
        event = keep_event(message, provider=gateway.name, at=at)
        crash_point("event.before_stored")
    crash_point("event.stored")
    return event


def keep_event(message: GatewayEvent, *, provider: str, at: datetime) -> ProviderEvent:
    """Write a message that is known to be true into the inbox, once, with the job that acts on it. Needs a scope."""
    event, made = ProviderEvent.objects.get_or_create(
        provider=provider,
        event_id=message.id,
        defaults={"type": message.type, "payload": message.payload, "received_at": at},
    )
    if made:
        arguments = {"event_id": str(event.pk)}
        jobs.enqueue("process_event", key=str(event.pk), at=at, institution_id=None, arguments=arguments)
    return event


def process_event(event: ProviderEvent, *, at: datetime, gateway: PaymentGateway | None = None) -> ProviderEvent:
    """Will act on a kept message, once: ask the provider what is true now, and move our payment forward only.

    In any order and number of copies the end is the same. What a person must look at stands in `event.error`.
    Opens its own transaction and scope: call it outside of any. Raises GatewayError when it should be tried again.
    """
    gateway = gateway or current_gateway()
    try:
        with transaction.atomic(durable=True), consortium_scope(Scope.WEBHOOK):
            event = ProviderEvent.objects.select_for_update().get(pk=event.pk)
            if event.processed_at is None:
                error = _acted(event, gateway, at)
                _done(event, error, at=at)
                crash_point("event.before_processed")
    except GatewayError as error:
        if not error.permanent:
            tried = ProviderEvent.objects.filter(pk=event.pk, processed_at=None)
            tried.update(attempts=F("attempts") + 1, error=error.message)
            raise
        _done(event, error.message, at=at)
    crash_point("event.processed")
    return event


def process_pending(*, at: datetime, limit: int = 50, gateway: PaymentGateway | None = None) -> int:
    """Will act on kept messages that nobody has acted on, the least tried first; returns how many are done now.

    The sweeper calls it; after each failure a message waits twice as long, at most an hour.
    """
    done = 0
    for event in ProviderEvent.objects.filter(processed_at=None).order_by("attempts", "received_at")[:limit]:
        wait = min(timedelta(seconds=2 ** min(event.attempts, 12)), LONGEST_WAIT)
        if event.received_at + wait > at:
            continue
        try:
            process_event(event, at=at, gateway=gateway)
            done += 1
        except GatewayError as error:
            log.warning("payment_event.later", event_id=event.event_id, error=error.message)
        except Exception as error:
            log.exception("payment_event.failed", event_id=event.event_id)
            ProviderEvent.objects.filter(pk=event.pk).update(attempts=F("attempts") + 1, error=repr(error)[:500])
    return done


@jobs.job_kind("process_event")
def _process_event_job(run: jobs.Run) -> None:
    event = ProviderEvent.objects.get(pk=UUID(run.arguments["event_id"]))
    try:
        process_event(event, at=now())
    except GatewayError as error:
        raise jobs.RetryLater(error.message, seconds=min(2**run.job.attempts, 300)) from error


def _done(event: ProviderEvent, error: str, *, at: datetime) -> None:
    ProviderEvent.objects.filter(pk=event.pk, processed_at=None).update(
        processed_at=at, error=error, attempts=F("attempts") + 1
    )
    event.processed_at, event.error = at, error


# --- Acting ---------------------------------------------------------------------------------------------------------


def _acted(event: ProviderEvent, gateway: PaymentGateway, at: datetime) -> str:
    """Do what the message is about; returns what a person must look at, or ""."""
    message = gateway.read_event(event.payload)
    if message.object_type == "payout":
        return follow_payout(message.object_id, gateway, at)
    if message.object_type not in SUBJECTS or (message.object_type == "charge" and message.type not in CHARGE_NEWS):
        return ""
    payment = _find(message, gateway)
    if payment is None:
        return f"No payment of this portal belongs to {message.object_id}. Look it up at the provider."
    return refresh(payment, gateway, at=at, message=message)


def refresh(payment: Payment, gateway: PaymentGateway, *, at: datetime, message: GatewayEvent | None = None) -> str:
    """Will ask the provider all that is true of a payment now and follow it; returns what a person must look at, or "".

    A message only narrows what is asked. Needs a consortium scope and an open transaction. Raises GatewayError.
    """
    balance = lock(payment.invoice_id)
    payment.refresh_from_db()
    session, intent = _truth(payment, message, gateway)
    crash_point("event.fetched")
    if any(found and found.payment_id != str(payment.pk) for found in (session, intent)):
        named = message.object_id if message else payment.session_id
        return f"{named} says that it belongs to another payment than {payment.pk}. Nothing was changed."
    if payment.session_id == "" and session is not None:
        Payment.objects.filter(pk=payment.pk).update(session_id=session.id)
    problems = [_moved(payment, outcome(session, intent), intent, at)]
    balance.refresh_from_db()
    if payment.status == "succeeded" and intent is not None:
        record_charge(intent.movement, payment, at=at)
        if message is None or message.object_type in MONEY_BACK:
            problems += [keep_refund(each, payment, balance, at=at) for each in gateway.refunds_of(intent.id)]
            problems += [keep_dispute(each, payment, balance, at=at) for each in gateway.disputes_of(intent.id)]
    return " ".join(filter(None, problems))


def follow_payout(payout_id: str, gateway: PaymentGateway, at: datetime) -> str:
    """Will follow a payout; what its lines say of payments and nobody told us before is asked for first.

    Returns what a person must look at, or "". Needs a consortium scope and an open transaction. Raises GatewayError.
    """
    found, movements = fetched(gateway, payout_id)
    crash_point("event.fetched")
    intents = {_intent_of(each, gateway) for each in missing_of(movements)} - {""}
    payments = (_of_intent(intent_id, gateway) for intent_id in intents)
    found_for = sorted(filter(None, payments), key=lambda each: each.institution_id)
    lock_all(payment.invoice_id for payment in found_for)
    for payment in found_for:  # university by university, as everybody writes in their audit trails
        refresh(payment, gateway, at=at)
    return keep_payout(found, movements, at=at)


def _intent_of(movement: ProviderMovement, gateway: PaymentGateway) -> str:
    """The payment that a line of the balance belongs to; "" where the provider does not know it either."""
    source = movement.source_id
    with suppress(GatewayError):
        if source.startswith(("re_", "pyr_")):
            return gateway.fetch_refund(source).intent_id
        if source.startswith(("dp_", "du_")):
            return gateway.fetch_dispute(source).intent_id
        return gateway.intent_of_charge(source)
    return ""


def _find(message: GatewayEvent, gateway: PaymentGateway) -> Payment | None:
    if not message.object_id:
        return None
    known = Q(session_id=message.object_id) | Q(intent_id=message.object_id)
    if message.intent_id:
        known |= Q(intent_id=message.intent_id)
    with suppress(ValueError):  # written by someone else, it may be anything
        known |= Q(pk=UUID(message.payment_id))
    found = Payment.objects.filter(known, provider=gateway.name).first()
    if found is None and message.intent_id and message.object_type in MONEY_BACK:
        return _of_intent(message.intent_id, gateway)
    return found


def _of_intent(intent_id: str, gateway: PaymentGateway) -> Payment | None:
    """Our payment of that intent; before its own news has arrived only the provider can say."""
    known = Q(intent_id=intent_id)
    if not Payment.objects.filter(known).exists():
        with suppress(ValueError):
            known = Q(pk=UUID(gateway.fetch_intent(intent_id).payment_id))
    return Payment.objects.filter(known, provider=gateway.name).select_related("invoice__issuer").first()


def _truth(
    payment: Payment, message: GatewayEvent | None, gateway: PaymentGateway
) -> tuple[CheckoutSession | None, PaymentIntent | None]:
    """Ask for the page and the money as they are now; the message only said where to look."""
    told = {"payment_intent": message.intent_id, message.object_type: message.object_id} if message else {}
    session_id = payment.session_id or told.get("checkout.session", "")
    session = gateway.fetch_session(session_id) if session_id else None
    intent_id = (session.intent_id if session else "") or payment.intent_id or told.get("payment_intent", "")
    return session, gateway.fetch_intent(intent_id) if intent_id else None


def outcome(session: CheckoutSession | None, intent: PaymentIntent | None) -> str:
    """Will name the state of a payment from what the provider says now.

    A declined card leaves the page open for another try, so the payment stays "created"; a failed bank debit does not.
    """
    by_intent = {"succeeded": "succeeded", "processing": "pending", "canceled": "failed"}
    if intent is not None and intent.status in by_intent:
        return by_intent[intent.status]
    if intent is not None and intent.status == "requires_action" and session and session.status == "complete":
        return "pending"  # the payer's account is proved first, by small deposits
    if session is None or session.status == "open":
        return "created"
    return "failed"


def _moved(payment: Payment, to: str, intent: PaymentIntent | None, at: datetime) -> str:
    """Move the payment forward, if that is forward."""
    failure = intent.failure[:300] if intent else ""
    if not PAYMENT.allows(payment.status, to):
        if payment.status == to == "created" and failure:
            Payment.objects.filter(pk=payment.pk).update(failure=failure)
        return ""
    if to == "succeeded" and intent is not None:
        return _succeeded(payment, intent, at)
    seen = {"intent_id": intent.id, "method": intent.method} if intent else {}
    before = payment.status
    PAYMENT.move(payment, to, failure=failure if to == "failed" else "", **seen)
    audit.record(
        f"billing.payment_{to}",
        payment,
        by=PROVIDER,
        at=at,
        institution_id=payment.institution_id,
        before={"status": before},
        after={"status": to},
    )
    return ""


def _succeeded(payment: Payment, intent: PaymentIntent, at: datetime) -> str:
    """Count what arrived, on the invoice and as credit; says what a person should know of it."""
    if intent.currency != payment.currency or intent.received <= 0:
        return f"{intent.id} brought {plain(intent.received)} {intent.currency}, not {payment.currency}. Look at it."
    seen = {"intent_id": intent.id, "method": intent.method}
    received = receive(payment, amount=intent.received, arrives=Account.CLEARING, by=PROVIDER, at=at, seen=seen)
    if received.excess > 0:
        return (
            f"{plain(received.excess)} {payment.currency} of {intent.id} is more than was due on its invoice. It is "
            "held as the member's credit: refund it, or apply it to another invoice."
        )
    return ""
