"""The state machine of a promise to pay."""

from consortium.kernel.states import Machine, State

PROMISE = Machine(
    "billing.PaymentPromise.status",
    "billing_paymentpromise",
    "status",
    (
        State(
            "open",
            "member",
            "Pay what was promised by its day; nobody is reminded before.",
            "Payez la somme promise avant l’échéance convenue ; personne n’est relancé d’ici là.",
            ("kept", "broken", "withdrawn"),
        ),
        State("kept", "nobody", "Nothing: it came in time.", "Rien : la somme est arrivée à temps."),
        State(
            "broken",
            "finance",
            "Get in touch with who promised it; reminders have gone on.",
            "Joignez la personne qui l’a promis ; les rappels ont repris.",
        ),
        State(
            "withdrawn",
            "nobody",
            "Nothing: it does not count, and reminders have gone on.",
            "Rien : elle ne compte plus, et les rappels ont repris.",
        ),
    ),
)
