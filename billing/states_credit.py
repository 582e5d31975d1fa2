"""The state machine of a credit that wants two people."""

from consortium.kernel.states import Machine, State

CREDIT_PROPOSAL = Machine(
    "billing.CreditProposal.status",
    "billing_creditproposal",
    "status",
    (
        State(
            "waiting",
            "finance",
            "Another person than who proposed it approves it, or anyone withdraws it.",
            "Une autre personne que celle qui l’a proposée l’approuve, ou quiconque la retire.",
            ("issued", "withdrawn"),
        ),
        State("issued", "nobody", "Nothing: its credit note is issued.", "Rien : la note de crédit est émise."),
        State("withdrawn", "nobody", "Nothing: no credit was given.", "Rien : aucun crédit n’a été accordé."),
    ),
)
