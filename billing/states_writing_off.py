"""The state machine of a write-off, which wants two people."""

from consortium.kernel.states import Machine, State

WRITE_OFF = Machine(
    "billing.WriteOff.status",
    "billing_writeoff",
    "status",
    (
        State(
            "waiting",
            "finance",
            "Another person than who proposed it approves it, or anyone withdraws it.",
            "Une autre personne que celle qui l’a proposée l’approuve, ou quiconque la retire.",
            ("approved", "withdrawn"),
        ),
        State(
            "approved",
            "nobody",
            "Nothing more is asked for; money that comes later is recorded as recovered.",
            "Plus rien n’est demandé ; l’argent qui arrive plus tard est inscrit comme recouvré.",
        ),
        State("withdrawn", "nobody", "Nothing: the invoice stays due.", "Rien : la facture reste due."),
    ),
)
