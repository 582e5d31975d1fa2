"""The lines that wait: what each may be, by what is open now and who paid before; and what is accepted by itself."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from billing.balances import TAKES_MONEY
from billing.bank_matching import Part, accept
from billing.bank_suggestions import Facts, OpenInvoice, Suggestion, clear_winner, squeezed, suggest
from billing.models import BankLine, BankMatch, Invoice, Payment, Payout
from billing.payouts import unreconciled_payouts
from billing.queries import DUE
from consortium.kernel.audit import System
from consortium.kernel.errors import PortalError
from consortium.kernel.money import EXACT
from members.models import Issuer, User

log = structlog.get_logger(__name__)

MATCHER: Final = System("bank_matcher")
NEAR: Final = timedelta(days=30)


class SuggestionGone(PortalError):
    """What was suggested is no longer so: the invoice was paid, or the line matched, since the page was shown."""

    code = "suggestion_gone"


def waiting_lines() -> QuerySet[BankLine]:
    """Return the lines that a person must explain, the oldest first."""
    return BankLine.objects.filter(status="open", amount__gt=0).order_by("booked_on", "pk")


def suggestions_for(line: BankLine, *, invoices: list[OpenInvoice] | None = None) -> list[Suggestion]:
    """Return what an open line may be, the likeliest first. Needs a consortium scope."""
    rows = open_invoices(line.account.issuer) if invoices is None else invoices
    return suggest(facts_of(line), rows)


def facts_of(line: BankLine) -> Facts:
    """Return what the bank says of a line."""
    text = f"{line.text} {line.bank_reference}"
    return Facts(
        amount=line.amount, currency=line.currency, payer=line.payer, payer_account=line.payer_account, text=text
    )


def open_invoices(issuer: Issuer) -> list[OpenInvoice]:
    """Return the invoices that take money, with the names and accounts that their members paid under before."""
    rows = Invoice.objects.filter(issuer=issuer, status__in=TAKES_MONEY, number__isnull=False)
    rows = rows.select_related("institution", "billing_account").annotate(rest=DUE).order_by("due_on", "number")
    known = _paid_from(issuer)
    return [
        OpenInvoice(
            key=str(row.pk),
            number=row.number or "",
            due=row.rest,
            currency=row.currency,
            member=row.institution.name_en,
            names=(row.institution.name_en, row.institution.name_fr, row.billing_account.name),
            po_number=row.po_number,
            paid_from=frozenset(known[row.institution_id]),
        )
        for row in rows
        if row.rest > 0
    ]


def recorded_candidates(line: BankLine) -> QuerySet[Payment]:
    """Return payments entered by hand that the line may show: same amount and currency, near in time, not matched."""
    since, until = line.booked_on - NEAR, line.booked_on + NEAR
    taken = BankMatch.objects.filter(undone_at=None, payment__isnull=False).values("payment")
    found = Payment.objects.filter(
        provider="manual", status="succeeded", currency=line.currency, amount=line.amount, taken_back=None,
        succeeded_at__date__gte=since, succeeded_at__date__lte=until, invoice__issuer=line.account.issuer,
    )  # fmt: skip
    return found.exclude(pk__in=taken).select_related("invoice__institution")


def payout_candidates(line: BankLine) -> QuerySet[Payout]:
    """Return payouts on their way that are exactly the line."""
    return unreconciled_payouts(line.currency, issuer=line.account.issuer).filter(amount=line.amount)


def accept_suggestion(line: BankLine, key: str, *, with_fee: bool, by: User | System, at: datetime) -> list[BankMatch]:
    """Accept what was suggested under that key, if it still is. With `with_fee` what is missing is a bank's fee.

    Raises SuggestionGone, and what `billing.bank_matching.accept` raises.
    """
    found = next((each for each in suggestions_for(line) if each.key == key), None)
    if line.status != "open" or found is None or any(each.currency != line.currency for each in found.invoices):
        raise SuggestionGone(_("This is no longer suggested: something was paid or matched since. Look again."))
    return _accepted(line, found, with_fee=with_fee, by=by, at=at)


def match_by_itself(lines: Iterable[BankLine], *, at: datetime) -> int:
    """Accept each line's best suggestion where its account says so; returns how many. Needs a consortium scope.

    A line that is refused, such as one of a locked year, waits for a person and holds no other up.
    """
    done = 0
    for line in lines:
        if line.status != "open" or line.account.accept_from is None:
            continue
        found = clear_winner(suggestions_for(line), accept_from=line.account.accept_from)
        if found is not None and not payout_candidates(line).exists() and not recorded_candidates(line).exists():
            try:
                _accepted(line, found, with_fee=False, by=MATCHER, at=at)
            except PortalError as refused:  # a person who accepts it reads the same
                log.warning("bank_line.not_matched", line=str(line.pk), error=refused.message)
                continue
            done += 1
    return done


def _accepted(line: BankLine, found: Suggestion, *, with_fee: bool, by: User | System, at: datetime) -> list[BankMatch]:
    """Each invoice its due, the last one what is over or short."""
    rows = Invoice.objects.in_bulk([UUID(each.key) for each in found.invoices])
    parts, left = [], line.amount
    for position, each in enumerate(found.invoices, 1):
        is_last = position == len(found.invoices)
        amount = left if is_last else each.due
        fee = found.short if is_last and with_fee else EXACT.subtract(left, left)
        parts.append(Part(invoice=rows[UUID(each.key)], amount=amount, fee=fee))
        left = EXACT.subtract(left, amount)
    because = "; ".join(found.reasons)
    return accept(line, parts, by=by, at=at, because=because, confidence=found.confidence)


def _paid_from(issuer: Issuer) -> dict[UUID, set[str]]:
    """Who paid for whom before: accounts and names from lines that are matched."""
    known: dict[UUID, set[str]] = defaultdict(set)
    rows = BankMatch.objects.filter(undone_at=None, kind="payment", line__account__issuer=issuer)
    told = rows.values_list("payment__institution_id", "line__payer_account", "line__payer").distinct()
    for institution_id, account, payer in told:
        if institution_id is not None:
            known[institution_id] |= {squeezed(account), squeezed(payer)} - {""}
    return known
