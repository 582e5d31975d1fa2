"""Each row of a bill goes to one visible place, for a reason that can be read."""

import pytest

from billing.matching import TAX, UNATTRIBUTED, By, Destination, Kind, MatchRule, RuleInvalid, match
from tests.unit.billing.bills import records

RULES = (
    MatchRule(By.TAG, Destination(Kind.DIRECT, "mcgill"), pattern="mcgill-*", tag_key="team", name="old tags"),
    MatchRule(By.TAG, Destination(Kind.DIRECT, "*"), tag_key="university"),
    MatchRule(By.SUB_ACCOUNT, Destination(Kind.POOL, "research"), pattern="sub-9?"),
    MatchRule(By.SERVICE, Destination(Kind.POOL, "network"), pattern="Network*"),
)
EVERYTHING = MatchRule(By.EVERYTHING, Destination(Kind.POOL, "shared"))


def sent(rules: tuple[MatchRule, ...] = RULES, **cells: str) -> tuple[str, str]:
    """Say where a row goes and why."""
    (row,) = records({"Tags": "NULL", **cells})
    found = match(row, rules)
    return str(found.destination), found.because


def test_the_first_rule_that_fits_wins() -> None:
    assert sent(Tags='{"team": "mcgill-stats", "university": "ubc"}') == (
        "direct:mcgill",
        "Rule 1 (old tags): the tag team is 'mcgill-stats', which fits 'mcgill-*'.",
    )


def test_a_direct_rule_can_take_the_institution_from_the_tag() -> None:
    assert sent(Tags='{" university": "ubc"}')[0] == "direct:ubc"
    assert sent(Tags='{"university": ""}')[0] == "unattributed"


def test_sub_accounts_and_services_send_rows_to_pools() -> None:
    assert sent(SubAccountId="sub-93") == ("pool:research", "Rule 3: the sub-account is 'sub-93', which fits 'sub-9?'.")
    assert sent(ServiceName="Network Gateway")[0] == "pool:network"
    assert sent(ServiceName="network gateway")[0] == "unattributed"  # letter by letter


def test_what_no_rule_claims_is_visible_as_unattributed() -> None:
    assert sent() == ("unattributed", "None of the 4 rules claims it.")
    (row,) = records({})
    assert match(row, ()).destination == UNATTRIBUTED


def test_a_last_rule_may_take_everything_that_is_left() -> None:
    assert sent((*RULES, EVERYTHING)) == ("pool:shared", "Rule 5: it takes every row that is left.")


def test_a_tax_row_never_enters_a_usage_pool() -> None:
    (row,) = records({"ChargeCategory": "Tax"})
    found = match(row, (EVERYTHING,))
    assert (found.destination, found.rule) == (TAX, None)


@pytest.mark.parametrize(
    ("by", "destination", "pattern", "tag_key"),
    [
        (By.TAG, Destination(Kind.POOL, "a"), "*", ""),
        (By.SERVICE, Destination(Kind.POOL, "a"), "*", "university"),
        (By.SERVICE, Destination(Kind.POOL, "a"), "", ""),
        (By.SERVICE, Destination(Kind.POOL, ""), "*", ""),
        (By.SERVICE, Destination(Kind.POOL, "*"), "*", ""),
        (By.EVERYTHING, Destination(Kind.DIRECT, "*"), "*", ""),
        (By.SERVICE, Destination(Kind.TAX), "*", ""),
    ],
)
def test_a_rule_that_means_nothing_is_refused(by: By, destination: Destination, pattern: str, tag_key: str) -> None:
    with pytest.raises(RuleInvalid):
        MatchRule(by, destination, pattern=pattern, tag_key=tag_key)
