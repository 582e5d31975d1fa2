"""The state machine of a support request: whose turn it is."""

from consortium.kernel.states import Machine, State

SUPPORT = Machine(
    "provisioning.SupportRequest.status",
    "provisioning_supportrequest",
    "status",
    (
        State(
            "open",
            "operator",
            "The consortium answers by the time shown.",
            "Le consortium répond au plus tard à l'heure indiquée.",
            ("answered", "waiting", "resolved", "closed"),
        ),
        State(
            "answered",
            "operator",
            "The consortium works on it and sends news by the time shown.",
            "Le consortium s'en occupe et donne des nouvelles au plus tard à l'heure indiquée.",
            ("open", "waiting", "resolved", "closed"),
        ),
        State(
            "waiting",
            "member",
            "Answer the consortium's question; no clock runs meanwhile.",
            "Répondez à la question du consortium ; aucun délai ne court entre-temps.",
            ("open", "answered", "resolved", "closed"),
        ),
        State(
            "resolved",
            "member",
            "Close it, or reopen it within 14 days.",
            "Fermez-la, ou rouvrez-la dans les 14 jours.",
            ("open", "closed"),
        ),
        State("closed", "nobody", "Nothing: it is over.", "Rien : c'est terminé."),
    ),
)
