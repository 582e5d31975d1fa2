"""The state machine of a line of our bank's statement."""

from consortium.kernel.states import Machine, State

BANK_LINE = Machine(
    "billing.BankLine.status",
    "billing_bankline",
    "status",
    (
        State(
            "open",
            "finance",
            "Match it, or park it with a reason.",
            "Rapprochez-la, ou mettez-la de côté avec un motif.",
            ("matched", "parked"),
        ),
        State("matched", "nobody", "Nothing: it is explained.", "Rien : elle est expliquée.", ("open",)),
        State(
            "parked",
            "finance",
            "Take it up again when more is known.",
            "Reprenez-la dès qu’on en sait plus.",
            ("open",),
        ),
    ),
)
