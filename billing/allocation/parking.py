"""Why a pool cannot be split: the named reasons."""

from consortium.kernel.errors import Invalid


class PoolParked(Invalid, ValueError):
    """A pool waits for a person: nobody is billed for it until the reason is gone.

    `code` is one of: members_empty, member_invalid, basis_all_zero, weight_negative, weight_invalid,
    percentages_not_100, tier_unknown, direct_not_one, used_above_total, own_line_taken, floor_invalid, cap_invalid,
    floor_above_cap, floor_infeasible, cap_infeasible, currency_unknown, rate_invalid, amount_invalid,
    pool_name_taken, pool_order.
    """

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.code = code
