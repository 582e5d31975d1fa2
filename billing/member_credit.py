"""A member's credit: money that is on no invoice, used oldest first, put on invoices, paid out, undone by reversal.

It comes from payments beyond what was due, from transfers for no invoice, and from credit notes over what was paid
already. Prepaid credit is another thing (`billing.prepaid`): an agreed line on the next invoices. Together they are
what the books hold on the account "Credit held for members", at all times.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import models, transaction
from django.db.models import F, Sum, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from billing import balances, ledger
from billing.chart_of_accounts import Account
from billing.models import Application, Invoice, MemberCredit, MemberCreditUse
from billing.reopening import REOPENABLE, reopen
from consortium.kernel import audit
from consortium.kernel.audit import Fact, Happened, System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.fields import AmountField
from consortium.kernel.money import EXACT, exact_sum, plain, round_money
from consortium.kernel.periods import local_date
from members.models import Institution, Issuer, User
from members.permissions import Permission, check_staff

# Whoever locks several credits of a member does it in this order, so that no two wait for each other.
LOCK_ORDER: Final = ("received_on", "created_at", "pk")


class CreditTooLittle(PortalError):
    """The member has less credit than was asked for, or the invoice takes less."""

    code = "credit_too_little"


class CreditUseUndone(PortalError):
    """The use of credit was undone already, or cannot be."""

    code = "credit_use_undone"


class CreditUseInvalid(Invalid):
    """The amount or the words cannot be right."""

    code = "credit_use_invalid"


@dataclass(frozen=True, slots=True)
class Taken:
    """A part of one credit."""

    credit: MemberCredit
    amount: Decimal


def hold(
    source: models.Model,
    *,
    issuer: Issuer,
    institution_id: UUID,
    amount: Decimal,
    currency: str,
    about: str,
    received_on: date,
    at: datetime,
) -> MemberCredit:
    """Keep an amount as the member's credit, once per source. Whoever calls posts it, with the money itself."""
    credit, _made = MemberCredit.objects.get_or_create(
        source_type=source._meta.label,  # noqa: SLF001 - the model's public name
        source_id=source.pk,
        defaults={
            "institution_id": institution_id,
            "issuer": issuer,
            "amount": amount,
            "currency": currency,
            "about": about[:200],
            "received_on": received_on,
            "created_at": at,
        },
    )
    return credit


def credits_with_rest(rows: models.QuerySet[MemberCredit]) -> models.QuerySet[MemberCredit]:
    """Add to each credit what is left of it, as `rest`."""
    used = Coalesce(
        models.Subquery(
            MemberCreditUse.objects.filter(credit=models.OuterRef("pk"))
            .values("credit")
            .annotate(sum=Sum("amount"))
            .values("sum")
        ),
        Value(Decimal(0)),
        output_field=AmountField(),
    )
    return rows.annotate(rest=models.ExpressionWrapper(F("amount") - used, output_field=AmountField()))


def credit_held(institution_id: UUID, *, issuer: Issuer | None = None) -> dict[str, Decimal]:
    """Return what a member has as credit, by currency; without its prepaid credit."""
    rows = MemberCredit.objects.filter(institution_id=institution_id)
    if issuer is not None:
        rows = rows.filter(issuer=issuer)
    sums: dict[str, Decimal] = {}
    for credit in credits_with_rest(rows):
        sums[credit.currency] = EXACT.add(sums.get(credit.currency, Decimal(0)), credit.rest)  # type: ignore[attr-defined]
    return {currency: amount for currency, amount in sorted(sums.items()) if amount}


@transaction.atomic
def apply_credit(
    invoice: Invoice, *, by: User | System, at: datetime, amount: Decimal | None = None
) -> list[MemberCreditUse]:
    """Put the member's credit on an open invoice, the oldest first: up to what is due, or `amount` of it.

    Only credit of the same issuer and currency is used. Raises Forbidden, CreditTooLittle, CreditUseInvalid.
    """
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    balance = balances.lock(invoice.pk)
    owner, issuer = balance.institution_id, balance.invoice.issuer
    takes = balances.may_take(balance)
    if amount is not None and (amount <= 0 or round_money(amount, balance.currency) != amount):
        raise CreditUseInvalid(_("The amount is above zero, to the smallest unit of its currency."), field="amount")
    parts = pick(locked_credits(owner, issuer, balance.currency), takes if amount is None else amount)
    found = exact_sum(part.amount for part in parts)
    if found == 0 or (amount is not None and not amount == found <= takes):
        raise CreditTooLittle(
            _("%(number)s takes %(due)s %(currency)s, and the credit that is left comes to %(found)s.")
            % {
                "number": balance.invoice.number,
                "due": plain(takes),
                "currency": balance.currency,
                "found": plain(credit_held(owner, issuer=issuer).get(balance.currency, Decimal(0))),
            },
            field="amount",
        )
    uses = put_on([(balance.invoice, part) for part in parts], by=by, at=at)
    balances.pay(balance, found)
    crash_point("credit.applied")
    return uses


@transaction.atomic
def undo_credit(use: MemberCreditUse, *, reason: str, by: User | System, at: datetime) -> MemberCreditUse:
    """Take credit off its invoice again, which is due again; nothing is deleted.

    Raises Forbidden, CreditUseInvalid, CreditUseUndone.
    """
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    if not reason.strip():
        raise CreditUseInvalid(_("Say why it is undone: an auditor will ask."), field="reason")
    # Asked under the balance's lock: of two who undo it at once the second sees what the first did.
    balance = None if use.invoice_id is None else balances.lock(use.invoice_id)
    if balance is None or use.kind != "applied" or use.reverses_id or MemberCreditUse.objects.filter(reverses=use):
        raise CreditUseUndone(_("This use of credit was undone already, or was paid out. Reload the page."))
    if balance.invoice.status not in REOPENABLE:
        raise CreditUseUndone(_("The invoice is written off or void: take that back first."))
    reversal = MemberCreditUse.objects.create(
        institution_id=use.institution_id, credit=use.credit, kind="applied", invoice=use.invoice,
        amount=EXACT.minus(use.amount), currency=use.currency, reverses=use, reference=reason.strip()[:300],
        used_on=local_date(at, use.credit.issuer.zone), used_at=at, used_by=None if isinstance(by, System) else by,
    )  # fmt: skip
    _application(reversal, at=at).save(force_insert=True)
    reopen(balance, use.amount, because="undone", note=reason, by=by, at=at)
    _post(reversal, against=Account.RECEIVABLES, narration=f"Credit taken off invoice {balance.invoice.number}", at=at)
    after: dict[str, Fact] = {"amount": use.amount, "currency": use.currency, "invoice": use.invoice_id}
    audit.record(
        "billing.credit_undone", reversal, by=by, at=at, institution_id=use.institution_id, after=after, reason=reason
    )
    return reversal


@transaction.atomic
def refund_credit(
    institution: Institution,
    *,
    issuer: Issuer,
    amount: Decimal,
    currency: str,
    reference: str,
    paid_on: date,
    by: User | System,
    at: datetime,
) -> list[MemberCreditUse]:
    """Record that credit was paid out to the member from our bank, the oldest credit first; it leaves the books' bank.

    Raises Forbidden, CreditTooLittle, CreditUseInvalid, YearLocked.
    """
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    if amount <= 0 or round_money(amount, currency) != amount:
        raise CreditUseInvalid(_("The amount is above zero, to the smallest unit of its currency."), field="amount")
    if not reference.strip():
        raise CreditUseInvalid(_("Give the bank's reference, so that the transfer can be found."), field="reference")
    parts = pick(locked_credits(institution.pk, issuer, currency), amount)
    found = exact_sum(part.amount for part in parts)
    if found != amount:
        raise CreditTooLittle(
            _("Only %(found)s %(currency)s of credit are left.") % {"found": plain(found), "currency": currency},
            field="amount",
        )
    return [use_credit(part, kind="refunded", reference=reference, by=by, at=at, on=paid_on) for part in parts]


@transaction.atomic
def take_back_credit(credit: MemberCredit, *, reason: str, by: User | System, at: datetime) -> MemberCreditUse:
    """Take back a credit that came with money for no invoice, whole, from credit and from the bank's account.

    Raises Forbidden, CreditTooLittle when some of it was used.
    """
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    list(MemberCredit.objects.select_for_update().filter(pk=credit.pk))
    held = credits_with_rest(MemberCredit.objects.filter(pk=credit.pk)).get()
    if held.rest != held.amount:  # type: ignore[attr-defined]
        raise CreditTooLittle(_("Some of this credit was used since. Undo that first."))
    part = Taken(held, held.amount)
    use = use_credit(part, kind="taken_back", reference=reason, by=by, at=at, on=None)
    _post(use, against=Account.BANK, narration=f"Credit taken back: {held.about}", at=at)
    return use


# --- Parts, for this module and billing.taking_back -------------------------------------------------------------------


def locked_credits(institution_id: UUID, issuer: Issuer, currency: str) -> list[MemberCredit]:
    """Lock what credit a member has in a currency, the oldest first. Lock balances before, never after."""
    rows = MemberCredit.objects.filter(institution_id=institution_id, issuer=issuer, currency=currency)
    keys = list(rows.select_for_update().order_by(*LOCK_ORDER).values_list("pk", flat=True))
    found = credits_with_rest(MemberCredit.objects.filter(pk__in=keys))
    return list(found.order_by(*LOCK_ORDER))


def pick(rows: Iterable[MemberCredit], amount: Decimal) -> list[Taken]:
    """Take up to an amount from the credits in their order; what is left of a credit is lowered in place."""
    parts = []
    for credit in rows:
        part = min(credit.rest, amount)  # type: ignore[attr-defined]
        if part > 0:
            parts.append(Taken(credit, part))
            amount = EXACT.subtract(amount, part)
            credit.rest = EXACT.subtract(credit.rest, part)  # type: ignore[attr-defined]
    return parts


def use_credit(
    part: Taken,
    *,
    kind: str,
    reference: str,
    by: User | System,
    at: datetime,
    on: date | None,
) -> MemberCreditUse:
    """Write that a part of a credit is paid out or taken back, and post it against the bank.

    What is taken back with its payment is posted there, not here.
    """
    credit = part.credit
    day = on or local_date(at, credit.issuer.zone)
    use = MemberCreditUse.objects.create(
        institution_id=credit.institution_id, credit=credit, kind=kind, invoice=None, amount=part.amount,
        currency=credit.currency, reference=reference.strip()[:300], used_on=day, used_at=at,
        used_by=None if isinstance(by, System) else by,
    )  # fmt: skip
    if kind != "taken_back":
        _post(use, against=Account.BANK, narration=f"Credit paid out, {reference}", at=at)
    after = {"kind": kind, "amount": use.amount, "currency": use.currency, "credit": credit.pk}
    audit.record(
        f"billing.credit_{kind}", use, by=by, at=at, institution_id=use.institution_id,
        after=after | {"invoice": None}, reason=reference,
    )  # fmt: skip
    return use


def put_on(taken: Sequence[tuple[Invoice, Taken]], *, by: User | System, at: datetime) -> list[MemberCreditUse]:
    """Write that parts of locked credits of one issuer are put on invoices, and post it against receivables.

    Whoever calls counts them on the balances. The queries do not grow with them.
    """
    uses = MemberCreditUse.objects.bulk_create(
        MemberCreditUse(
            institution_id=part.credit.institution_id, credit=part.credit, kind="applied", invoice=invoice,
            amount=part.amount, currency=part.credit.currency, used_on=local_date(at, invoice.issuer.zone), used_at=at,
            used_by=None if isinstance(by, System) else by,
        )
        for invoice, part in taken
    )  # fmt: skip
    Application.objects.bulk_create(_application(use, at=at) for use in uses)
    entries = [
        _entry(use, against=Account.RECEIVABLES, narration=f"Credit put on invoice {invoice.number}")
        for use, (invoice, _part) in zip(uses, taken, strict=True)
    ]
    if entries:
        ledger.post_all(entries, issuer=taken[0][0].issuer, at=at)
    audit.record_all("billing.credit_applied", [_applied(use) for use in uses], by=by, at=at)
    return uses


def _application(use: MemberCreditUse, *, at: datetime) -> Application:
    assert use.invoice_id is not None  # noqa: S101 - a constraint of the table says so
    return Application(
        institution_id=use.institution_id, invoice_id=use.invoice_id, credit_use=use, amount=use.amount,
        currency=use.currency, at=at,
    )  # fmt: skip


def _applied(use: MemberCreditUse) -> Happened:
    after = {"kind": "applied", "amount": use.amount, "currency": use.currency, "credit": use.credit_id}
    return Happened(use, institution_id=use.institution_id, after=after | {"invoice": use.invoice_id})


def _entry(use: MemberCreditUse, *, against: Account, narration: str) -> ledger.Entry:
    return ledger.Entry(
        kind="credit_use",
        source=use,
        on=use.used_on,
        narration=narration,
        legs=[
            ledger.Leg(Account.MEMBER_CREDIT, use.amount, use.currency),
            ledger.Leg(against, EXACT.minus(use.amount), use.currency),
        ],
        institution_id=use.institution_id,
    )


def _post(use: MemberCreditUse, *, against: Account, narration: str, at: datetime) -> None:
    ledger.post_all([_entry(use, against=against, narration=narration)], issuer=use.credit.issuer, at=at)
