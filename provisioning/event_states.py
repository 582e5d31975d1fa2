"""The state machine of a booked event."""

from consortium.kernel.states import Machine, State

EVENT = Machine(
    "provisioning.EventWindow.status",
    "provisioning_eventwindow",
    "status",
    (
        State(
            "booked",
            "member",
            "Nothing is done to the hub while it is on.",
            "Rien n'est fait au hub pendant qu'il a lieu.",
            ("cancelled", "over"),
        ),
        State("cancelled", "nobody", "Nothing: it was called off.", "Rien : il est annulé."),
        State("over", "nobody", "Nothing: it is over.", "Rien : c'est terminé."),
    ),
)
