"""The state machines of getting paid: a disputed line, a question about an invoice."""

from consortium.kernel.states import Machine, State

DISPUTE = Machine(
    "billing.LineDispute.status",
    "billing_linedispute",
    "status",
    (
        State(
            "open",
            "finance",
            "The consortium looks at the evidence and answers.",
            "Le consortium examine les preuves et répond.",
            ("asked", "credited", "released", "withdrawn"),
        ),
        State(
            "asked",
            "member",
            "Answer the consortium's question before its day; then the amount is due again.",
            "Répondez à la question du consortium avant l'échéance ; ensuite, le montant redevient dû.",
            ("open", "credited", "released", "withdrawn"),
        ),
        State("credited", "nobody", "A credit note took it back.", "Une note de crédit l'a annulée."),
        State("released", "member", "Pay it: the answer says why.", "Payez-la : la réponse dit pourquoi."),
        State("withdrawn", "member", "Pay it by the due date.", "Payez-la avant l'échéance."),
    ),
)
HOLDING = ("open", "asked")  # while it is in one of these, its amount is neither reminded of nor asked for

INVOICE_QUESTION = Machine(
    "billing.InvoiceQuestion.status",
    "billing_invoicequestion",
    "status",
    (
        State("open", "finance", "Answer it by mail.", "Répondez par courriel.", ("answered",)),
        State("answered", "nobody", "Nothing: the answer went out.", "Rien : la réponse est partie."),
    ),
)
