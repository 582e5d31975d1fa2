"""The state machines of what a payment provider does after a payment: refunds, disputes, payouts."""

from consortium.kernel.states import Machine, State

REFUND = Machine(
    "billing.Refund.status",
    "billing_refund",
    "status",
    (
        State(
            "proposed",
            "finance",
            "A colleague approves it.",
            "Un ou une collègue l’approuve.",
            ("approved", "withdrawn"),
        ),
        State(
            "approved",
            "worker",
            "Wait: the provider is being asked.",
            "Attendez : le fournisseur est sollicité.",
            ("pending", "succeeded", "failed"),
        ),
        State(
            "pending",
            "bank",
            "The payer's bank takes some days.",
            "La banque du payeur prend quelques jours.",
            ("succeeded", "failed"),
        ),
        # A bank may send it back after it has arrived: the payer's card or account is gone.
        State("succeeded", "nobody", "Nothing: it arrived.", "Rien : il est arrivé.", ("failed",)),
        State("failed", "finance", "Pay it back in another way.", "Remboursez autrement."),
        State("withdrawn", "nobody", "It was not approved.", "Il n’a pas été approuvé."),
    ),
)

CARD_DISPUTE = Machine(
    "billing.CardDispute.status",
    "billing_carddispute",
    "status",
    (
        State(
            "opened",
            "worker",
            "Wait: it is being read.",
            "Attendez : il est en cours de lecture.",
            ("inquiry", "needs_response", "under_review", "won", "lost", "closed"),
        ),
        State(
            "inquiry",
            "finance",
            "Answer before its day: no money is taken yet.",
            "Répondez avant l’échéance : rien n’est encore prélevé.",
            ("needs_response", "under_review", "won", "lost", "closed"),
        ),
        State(
            "needs_response",
            "finance",
            "Answer with evidence before its day, or accept it.",
            "Répondez avec des preuves avant l’échéance, ou acceptez.",
            ("under_review", "won", "lost", "closed"),
        ),
        State(
            "under_review",
            "bank",
            "The payer's bank decides.",
            "La banque du payeur décide.",
            ("won", "lost", "closed"),
        ),
        State("won", "nobody", "Nothing: the money is back.", "Rien : l’argent est revenu.", ("under_review",)),
        State(
            "lost",
            "member",
            "What was taken back is due again.",
            "Ce qui a été repris est de nouveau dû.",
            ("under_review", "won"),
        ),
        State("closed", "nobody", "Nothing: no money was taken.", "Rien : rien n’a été prélevé."),
    ),
)

PAYOUT = Machine(
    "billing.Payout.status",
    "billing_payout",
    "status",
    (
        State(
            "pending",
            "provider",
            "The provider sends it.",
            "Le fournisseur l’envoie.",
            ("in_transit", "paid", "failed", "canceled"),
        ),
        State(
            "in_transit",
            "bank",
            "Match it with the bank's statement.",
            "Rapprochez-le du relevé bancaire.",
            ("paid", "failed", "canceled"),
        ),
        State("paid", "bank", "Match it with the bank's statement.", "Rapprochez-le du relevé bancaire.", ("failed",)),
        State(
            "failed",
            "provider",
            "Check our bank details at the provider.",
            "Vérifiez nos coordonnées bancaires chez le fournisseur.",
        ),
        State("canceled", "nobody", "Nothing: it was not sent.", "Rien : il n’a pas été envoyé."),
    ),
)
