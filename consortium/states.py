"""The state machines of the kernel's own tables."""

from consortium.kernel.states import Machine, State

JOB = Machine(
    "consortium.Job.state",
    "consortium_job",
    "state",
    (
        State("queued", "worker", "Waits for a worker.", "Attend un travailleur.", ("running", "cancelled")),
        State(
            "running",
            "worker",
            "Is being worked on.",
            "Est en cours.",
            ("queued", "succeeded", "failed", "needs_operator"),
        ),
        State(
            "failed", "member", "Try again, or ask support.", "Réessayez, ou demandez l'aide.", ("queued", "cancelled")
        ),
        State(
            "needs_operator",
            "operator",
            "Consortium staff mend the cause and retry.",
            "Le personnel du consortium corrige la cause et relance.",
            ("queued", "cancelled"),
        ),
        State("succeeded", "nobody", "Nothing: it is done.", "Rien : c'est fait."),
        State("cancelled", "nobody", "Nothing: it was called off.", "Rien : c'est annulé."),
    ),
)

MAIL = Machine(
    "consortium.OutgoingMail.state",
    "consortium_outgoingmail",
    "state",
    (
        State("queued", "sweeper", "Will be sent shortly.", "Sera envoyé sous peu.", ("sent", "failed")),
        State(
            "failed", "operator", "Correct the address, then retry.", "Corrigez l'adresse, puis relancez.", ("queued",)
        ),
        State("sent", "nobody", "Nothing: it was handed to the mail server.", "Rien : remis au serveur de courriel."),
    ),
)
