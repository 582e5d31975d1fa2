"""What a bank's line may be: suggestions with their reasons, the likeliest first. Values in, values out; no Django.

The confidence is the sum of what speaks for it, at most 100. It decides nothing by itself: a person accepts, or the
account says from which confidence on the best suggestion is accepted, if no other one comes near.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from fractions import Fraction
from typing import Final

from consortium.kernel.money import EXACT, exact_sum, plain

LEAST: Final = 20
AHEAD: Final = 25  # so far the best one must lead, to be accepted by itself
NAMED: Final = 60
ALIKE: Final = Fraction(4, 5)  # of two names' letters, in order
MOST_KEPT_BY_BANKS: Final = Decimal(60)
_NONE: Final = Decimal(0)
_MISTAKEN: Final = str.maketrans("OILSB", "01158")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInvoice:
    """An invoice that takes money: `number` as printed, `due` now, who pays, and from where it was paid before."""

    key: str
    number: str
    due: Decimal
    currency: str
    member: str
    names: tuple[str, ...] = ()
    po_number: str = ""
    paid_from: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the bank says of a line."""

    amount: Decimal
    currency: str
    payer: str = ""
    payer_account: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """One way to match a line: the invoices, what speaks for it, and how much money it would leave over or short."""

    invoices: tuple[OpenInvoice, ...]
    confidence: int
    reasons: tuple[str, ...]
    over: Decimal
    short: Decimal

    @property
    def key(self) -> str:
        """Name it: the invoices' keys."""
        return ",".join(each.key for each in self.invoices)


def suggest(facts: Facts, invoices: Iterable[OpenInvoice], *, most: int = 6) -> list[Suggestion]:
    """Return what the line may be, the likeliest first. Several invoices that the payer names are one suggestion."""
    rows = list(invoices)
    named = [each for each in rows if _named(facts, each.number) == NAMED and each.currency == facts.currency]
    found = [_judged(facts, (each,)) for each in rows]
    if len(named) > 1:
        found.append(_judged(facts, tuple(named)))
    else:
        found += [_judged(facts, pair) for pair in _pairs(facts, rows)]
    found = [each for each in found if each.confidence >= LEAST]
    found.sort(key=lambda each: (-each.confidence, -len(each.invoices), [one.number for one in each.invoices]))
    return found[:most]


def clear_winner(found: Sequence[Suggestion], *, accept_from: int | None) -> Suggestion | None:
    """Return the one that may be accepted by itself: likely enough, exact, and far ahead of any other one."""
    if accept_from is None or not found or found[0].confidence < accept_from or found[0].over or found[0].short:
        return None
    mine = {each.key for each in found[0].invoices}
    others = [each for each in found[1:] if not {one.key for one in each.invoices} <= mine]
    if others and found[0].confidence - others[0].confidence < AHEAD:
        return None
    return found[0]


def _judged(facts: Facts, invoices: tuple[OpenInvoice, ...]) -> Suggestion:
    gap = EXACT.subtract(facts.amount, exact_sum(each.due for each in invoices))
    said = [*_by_words(facts, invoices), *_by_amount(facts, invoices, gap), *_by_payer(facts, invoices)]
    same = facts.currency == invoices[0].currency
    return Suggestion(
        invoices=invoices,
        confidence=max(0, min(sum(points for points, _words in said), 100)),
        reasons=tuple(words for _points, words in said),
        over=max(gap, _NONE) if same else _NONE,
        short=max(-gap, _NONE) if same else _NONE,
    )


def _by_words(facts: Facts, invoices: tuple[OpenInvoice, ...]) -> list[tuple[int, str]]:
    found = min(_named(facts, each.number) for each in invoices)
    numbers = ", ".join(each.number for each in invoices)
    if found:
        return [(found, f"the text {'names' if found == NAMED else 'nearly names'} {numbers}")]
    if any(each.po_number and squeezed(each.po_number) in squeezed(facts.text) for each in invoices):
        return [(30, "the text names its purchase order")]
    return []


def _by_amount(facts: Facts, invoices: tuple[OpenInvoice, ...], gap: Decimal) -> list[tuple[int, str]]:
    if any(each.currency != facts.currency for each in invoices):
        return [(-30, f"it is in {facts.currency}, the invoice in {invoices[0].currency}")]
    if gap == 0:
        return [(30, "the amount is exactly what is due")]
    due = exact_sum(each.due for each in invoices)
    if 0 < -gap <= min(MOST_KEPT_BY_BANKS, EXACT.multiply(due, Decimal("0.05"))):
        return [(10, f"{plain(-gap)} are missing, as when banks on the way keep a fee")]
    if gap < 0:
        return [(0, f"{plain(-gap)} would stay due")]
    return [(0, f"{plain(gap)} are more than is due and would become the member's credit")]


def _by_payer(facts: Facts, invoices: tuple[OpenInvoice, ...]) -> list[tuple[int, str]]:
    member, account, payer = invoices[0].member, squeezed(facts.payer_account), squeezed(facts.payer)
    if account and all(account in each.paid_from for each in invoices):
        return [(20, f"{member} paid from this account before")]
    if payer and all(payer in each.paid_from for each in invoices):
        return [(15, f"{member} paid under this name before")]
    if payer and all(_alike(payer, each.names) for each in invoices):
        return [(10, f"the payer's name is like {member}")]
    return []


def _pairs(facts: Facts, rows: Sequence[OpenInvoice]) -> list[tuple[OpenInvoice, ...]]:
    """All open invoices of one member, where together they are exactly the amount."""
    members: dict[str, list[OpenInvoice]] = {}
    for each in rows:
        if each.currency == facts.currency:
            members.setdefault(each.member, []).append(each)
    whole = [tuple(own) for own in members.values() if len(own) > 1]
    return [own for own in whole if exact_sum(each.due for each in own) == facts.amount]


def _named(facts: Facts, number: str) -> int:
    """NAMED where the text names the number, less where signs are mistaken or only its digits are there, else 0."""
    wanted, text = squeezed(number), squeezed(facts.text)
    if not wanted:
        return 0
    if re.search(rf"(?<![0-9]){re.escape(wanted)}(?![0-9])", text):
        return NAMED
    if re.search(rf"(?<![0-9]){wanted.translate(_MISTAKEN)}(?![0-9])", text.translate(_MISTAKEN)):
        return 45
    digits = re.sub(r"[^0-9]", "", number)
    return 40 if len(digits) >= 6 and digits in re.sub(r"[^0-9]", "", facts.text) else 0


def _alike(payer: str, names: Sequence[str]) -> bool:
    mine = squeezed(payer)
    others = [squeezed(name) for name in names if squeezed(name)]
    return any(one in mine or mine in one or SequenceMatcher(None, mine, one).ratio() >= ALIKE for one in others)


def squeezed(text: str) -> str:
    """Capital letters and digits alone."""
    return "".join(sign for sign in text.upper() if sign.isalnum())
