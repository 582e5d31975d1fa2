"""The state machine of a fiscal year."""

from consortium.kernel.states import Machine, State

FISCAL_YEAR = Machine(
    "billing.FiscalYear.status",
    "billing_fiscalyear",
    "status",
    (
        State(
            "open",
            "finance",
            "Post, close its months, then lock it.",
            "Fermez ses mois, puis verrouillez-le.",
            ("locked",),
        ),
        State("locked", "nobody", "Corrections go to the open year.", "Les corrections vont à l'exercice ouvert."),
    ),
)
