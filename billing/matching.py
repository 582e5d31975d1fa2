"""Where a row of a cloud bill goes: ordered rules, the first that fits wins, and nothing goes to nowhere.

Rules are data: an administrator writes them, a test bench shows for any row "this would go there, because". A row that
no rule claims goes to the visible destination "unattributed". Tax rows never enter a usage pool, so no rule sees them:
they go to the destination "tax" and the books decide whether the tax is recoverable.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final, Protocol

from consortium.kernel.errors import Invalid

_POOL_KEY: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


class RuleInvalid(Invalid, ValueError):
    """A matching rule says nothing, or sends rows to nowhere."""

    code = "rule_invalid"


class Kind(StrEnum):
    """What a destination is."""

    DIRECT = "direct"  # one institution bears it
    POOL = "pool"  # shared by the pool's policy
    UNATTRIBUTED = "unattributed"
    TAX = "tax"


class By(StrEnum):
    """What a rule looks at."""

    TAG = "tag"
    SUB_ACCOUNT = "sub_account"
    SERVICE = "service"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Destination:
    """A kind and a key: the institution's slug or the pool's; unattributed and tax have none."""

    kind: Kind
    key: str = ""

    def __str__(self) -> str:
        """Write it for a list of rules: "direct:ubc"."""
        return f"{self.kind}:{self.key}" if self.key else str(self.kind)


UNATTRIBUTED: Final = Destination(Kind.UNATTRIBUTED)
TAX: Final = Destination(Kind.TAX)
# As a direct destination's key: the institution whose slug is the tag's value, the sub-account or the service.
MATCHED_VALUE: Final = "*"


@dataclass(frozen=True, slots=True)
class MatchRule:
    """One rule. `pattern` is compared with the value letter by letter; `*` stands for any text, `?` for one character.

    A TAG rule names the tag's key. A direct destination with the key `*` takes the matched value as the institution's
    slug; whether that institution exists, the caller knows. Raises RuleInvalid.
    """

    by: By
    destination: Destination
    pattern: str = "*"
    tag_key: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse a rule that cannot mean what it says."""
        if (self.by is By.TAG) != bool(self.tag_key):
            raise RuleInvalid("A tag rule names the tag's key, and only a tag rule does.", field="tag_key")
        if not self.pattern:
            raise RuleInvalid("A rule needs a pattern; * stands for any text.", field="pattern")
        if self.destination.kind in {Kind.DIRECT, Kind.POOL} and not self.destination.key:
            raise RuleInvalid("Say which institution or pool the rows go to.", field="destination")
        if self.destination.key == MATCHED_VALUE and (
            self.destination.kind is not Kind.DIRECT or self.by is By.EVERYTHING
        ):
            raise RuleInvalid("Only a direct destination can take its institution from the matched value.", field="key")
        if self.destination.kind is Kind.POOL and self.destination.key in {"tax", "unattributed"}:
            raise RuleInvalid("The pools tax and unattributed fill themselves; choose another name.", field="key")
        if self.destination.kind is Kind.POOL and not _POOL_KEY.fullmatch(self.destination.key):
            raise RuleInvalid("Name a pool in lower-case letters, digits and hyphens, such as shared.", field="key")
        if self.destination.kind is Kind.TAX:
            raise RuleInvalid("Tax rows find their own way; no rule sends rows there.", field="destination")


class Placeable(Protocol):
    """What a rule looks at: a record of a bill that comes in, or a row that is kept."""

    @property
    def charge_category(self) -> str: ...
    @property
    def tags(self) -> Mapping[str, str]: ...
    @property
    def sub_account_id(self) -> str: ...
    @property
    def service_name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Match:
    """Where a row goes, the rule that sent it (None: none did), and why, in a sentence."""

    destination: Destination
    rule: MatchRule | None
    because: str


def match(record: Placeable, rules: Sequence[MatchRule]) -> Match:
    """Will return where the row goes: the first rule that fits, else unattributed; tax rows to "tax"."""
    if record.charge_category == "Tax":
        return Match(TAX, None, "It is a tax row of the provider, which never enters a usage pool.")
    for number, rule in enumerate(rules, start=1):
        value = _value(record, rule)
        if value is not None and fnmatchcase(value, rule.pattern):
            title = f"Rule {number}" + (f" ({rule.name})" if rule.name else "")
            return Match(_resolved(rule.destination, value), rule, f"{title}: {_ground(rule, value)}.")
    return Match(UNATTRIBUTED, None, f"None of the {len(rules)} rules claims it.")


def _value(record: Placeable, rule: MatchRule) -> str | None:
    """Fetch what the rule looks at; a value that is not there matches nothing, not even `*`."""
    match rule.by:
        case By.TAG:
            return record.tags.get(rule.tag_key) or None
        case By.SUB_ACCOUNT:
            return record.sub_account_id or None
        case By.SERVICE:
            return record.service_name or None
        case By.EVERYTHING:
            return ""


def _resolved(destination: Destination, value: str) -> Destination:
    """Put the matched value in place of `*`."""
    return Destination(destination.kind, value) if destination.key == MATCHED_VALUE else destination


def _ground(rule: MatchRule, value: str) -> str:
    """Say what fitted."""
    match rule.by:
        case By.TAG:
            return f"the tag {rule.tag_key} is {value!r}, which fits {rule.pattern!r}"
        case By.SUB_ACCOUNT:
            return f"the sub-account is {value!r}, which fits {rule.pattern!r}"
        case By.SERVICE:
            return f"the service is {value!r}, which fits {rule.pattern!r}"
        case By.EVERYTHING:
            return "it takes every row that is left"
