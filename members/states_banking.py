"""The state machine of a change of our bank details, which wants two people."""

from consortium.kernel.states import Machine, State

BANK_CHANGE = Machine(
    "members.BankDetailsChange.status",
    "members_bankdetailschange",
    "status",
    (
        State(
            "waiting",
            "finance",
            "Another person than who proposed it checks it with the bank and confirms it, or anyone withdraws it.",
            "Une autre personne que celle qui l’a proposé le vérifie auprès de la banque et le confirme, ou quiconque "
            "le retire.",
            ("confirmed", "withdrawn"),
        ),
        State(
            "confirmed",
            "nobody",
            "Nothing: invoices bear the new details from its day on.",
            "Rien : les factures portent les nouvelles coordonnées à compter de ce jour.",
        ),
        State("withdrawn", "nobody", "Nothing: the details stay.", "Rien : les coordonnées restent."),
    ),
)
