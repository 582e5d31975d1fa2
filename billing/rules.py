"""Matching rules as rows: kept in order, loaded into `billing.matching`, tried out before they count."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from billing.matching import By, Destination, Kind, Match, MatchRule, Placeable, RuleInvalid, match
from billing.models import MatchingRule
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from members.models import Institution, Issuer, User
from members.permissions import Permission, check_staff


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a row of a bill goes, as the database keeps it."""

    destination: str  # "direct", "pool" or "unattributed"
    institution_id: UUID | None
    hub_slug: str
    pool_key: str
    because: str


TAX_POOL = "tax"
_REMEMBERED = 20_000


def rule_to_json(rule: MatchRule) -> dict[str, str]:
    """Will write a rule as the column keeps it; its name has a column of its own."""
    return {
        "by": str(rule.by),
        "tag_key": rule.tag_key,
        "pattern": rule.pattern,
        "kind": str(rule.destination.kind),
        "key": rule.destination.key,
    }


def rule_from_json(stored: Mapping[str, Any], *, name: str = "") -> MatchRule:
    """Will read a stored rule. Raises RuleInvalid."""
    try:
        destination = Destination(Kind(stored["kind"]), str(stored.get("key", "")))
        return MatchRule(
            by=By(stored["by"]),
            destination=destination,
            pattern=str(stored.get("pattern", "*")),
            tag_key=str(stored.get("tag_key", "")),
            name=name,
        )
    except (KeyError, ValueError, TypeError) as error:
        if isinstance(error, RuleInvalid):
            raise
        raise RuleInvalid(f"The rule {name or '(without a name)'} cannot be read: {error}.", field="rule") from error


@transaction.atomic
def add_rule(*, issuer: Issuer, rule: MatchRule, by: User | System, at: datetime) -> MatchingRule:
    """Put a rule behind the others of the issuer. Raises Forbidden."""
    check_staff(by, Permission.IMPORT_BILLS)
    Issuer.objects.select_for_update(no_key=True).get(pk=issuer.pk)
    live = MatchingRule.objects.filter(issuer=issuer, retired_at=None)
    last = live.aggregate(last=Max("position"))["last"] or 0
    row = MatchingRule.objects.create(
        issuer=issuer, position=last + 1, name=rule.name or str(rule.destination), rule=rule_to_json(rule)
    )
    after: dict[str, Fact] = {"position": row.position, **rule_to_json(rule)}
    audit.record("billing.rule_added", row, by=by, at=at, institution_id=None, after=after)
    return row


@transaction.atomic
def retire_rule(row: MatchingRule, *, by: User | System, at: datetime) -> None:
    """Let a rule claim no more rows; those it claimed keep their place. Raises Forbidden."""
    check_staff(by, Permission.IMPORT_BILLS)
    row.retired_at = at
    row.save(update_fields=["retired_at"])
    audit.record("billing.rule_retired", row, by=by, at=at, institution_id=None, before={"position": row.position})


@transaction.atomic
def move_rule(row: MatchingRule, *, to: int, by: User | System, at: datetime) -> None:
    """Let a rule be tried as number `to` of its issuer's live rules; the others close up. Raises Forbidden."""
    check_staff(by, Permission.IMPORT_BILLS)
    Issuer.objects.select_for_update(no_key=True).get(pk=row.issuer_id)
    live = list(MatchingRule.objects.filter(issuer=row.issuer_id, retired_at=None).order_by("position"))
    before = row.position
    others = [each for each in live if each.pk != row.pk]
    place = min(max(to, 1), len(live)) - 1
    wanted = [*others[:place], row, *others[place:]]
    free = max(each.position for each in live) + len(live)
    for number, each in enumerate(wanted, start=1):  # out of the way first: no two rules share a position
        MatchingRule.objects.filter(pk=each.pk).update(position=free + number)
    for number, each in enumerate(wanted, start=1):
        MatchingRule.objects.filter(pk=each.pk).update(position=number)
    row.position = place + 1
    moved: dict[str, Fact] = {"position": row.position}
    audit.record("billing.rule_moved", row, by=by, at=at, institution_id=None, before={"position": before}, after=moved)


def load_rules(issuer: Issuer) -> list[MatchRule]:
    """Return the issuer's live rules in order. Raises RuleInvalid."""
    rows = MatchingRule.objects.filter(issuer=issuer, retired_at=None).order_by("position")
    return [rule_from_json(row.rule, name=row.name) for row in rows]


class Placer:
    """Places the rows of one bill: loads rules and names once, then asks the database nothing."""

    def __init__(self, issuer: Issuer, slugs: Mapping[str, UUID], *, candidate: MatchRule | None = None) -> None:
        """Load the issuer's rules; `candidate` is tried behind them, for a test bench."""
        self._rules = load_rules(issuer) + ([candidate] if candidate else [])
        self._seen: dict[tuple[str, str, str, int], tuple[Mapping[str, str], Placed]] = {}
        self._slugs = slugs
        wanted = set(slugs.values())
        self._institutions = dict(Institution.objects.filter(pk__in=wanted).values_list("slug", "pk"))

    def place(self, record: Placeable) -> Placed:
        """Return where the row goes; a name that no institution or hub bears leads to "unattributed"."""
        tags = record.tags
        key = (record.charge_category, record.service_name, record.sub_account_id, id(tags))
        seen = self._seen.get(key)
        if seen is not None and seen[0] is tags:  # rows of one bill share their tags; held here, the id stays theirs
            return seen[1]
        placed = self._place(record)
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[key] = (tags, placed)
        return placed

    def _place(self, record: Placeable) -> Placed:
        found = match(record, self._rules)
        match found.destination.kind:
            case Kind.TAX:
                return Placed("pool", None, "", TAX_POOL, found.because)
            case Kind.POOL:
                return Placed("pool", None, "", found.destination.key, found.because)
            case Kind.DIRECT:
                return self._direct(record, found)
            case Kind.UNATTRIBUTED:
                return Placed("unattributed", None, "", "", found.because)

    def _direct(self, record: Placeable, found: Match) -> Placed:
        slug = found.destination.key
        institution_id = self._slugs.get(slug)
        if institution_id is None:
            because = f"No institution or hub is called {slug!r}. {found.because}"
            return Placed("unattributed", None, "", "", because)
        # The rule named the institution; the tag may still say which of its hubs.
        hub = record.tags.get("hub", "") if slug in self._institutions else slug
        known = self._slugs.get(hub) == institution_id and hub not in self._institutions
        return Placed("direct", institution_id, hub if known else "", "", found.because)
