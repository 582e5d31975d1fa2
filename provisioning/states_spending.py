"""The state machine of a question to those who set a member's budget."""

from consortium.kernel.states import Machine, State

SPENDING = Machine(
    "provisioning.SpendingApproval.status",
    "provisioning_spendingapproval",
    "status",
    (
        State(
            "asked",
            "finance",
            "Decide whether the month may cost more than its budget.",
            "Décidez si le mois peut coûter plus que son budget.",
            ("approved", "declined"),
        ),
        State("approved", "nobody", "The request goes on.", "La demande suit son cours."),
        State("declined", "nobody", "You may request a smaller hub.", "Vous pouvez demander un hub plus petit."),
    ),
)
