"""The state machines of money: billing period, invoice, payment."""

from consortium.kernel.states import Machine, State

PERIOD = Machine(
    "billing.BillingPeriod.status",
    "billing_billingperiod",
    "status",
    (
        State(
            "open", "finance", "Import bills, then close it.", "Importez les factures, puis fermez-la.", ("closing",)
        ),
        State("closing", "worker", "Watch the billing run.", "Suivez la facturation.", ("closed", "open")),
        State("closed", "nobody", "Later facts become adjustments.", "Les faits tardifs deviennent des ajustements."),
    ),
)

RUN = Machine(
    "billing.BillingRun.status",
    "billing_billingrun",
    "status",
    (
        State(
            "preparing",
            "worker",
            "Wait for the drafts.",
            "Attendez les ébauches.",
            ("prepared", "withdrawn"),
        ),
        State(
            "prepared",
            "finance",
            "Check the drafts and approve them, or give the run up.",
            "Vérifiez les ébauches et approuvez-les, ou abandonnez.",
            ("approved", "withdrawn"),
        ),
        State("approved", "worker", "Watch the invoices go out.", "Suivez l’envoi des factures.", ("finished",)),
        State("finished", "nobody", "Nothing: the month is closed.", "Rien : le mois est fermé."),
        State("withdrawn", "nobody", "Nothing: the month is open again.", "Rien : le mois est rouvert."),
    ),
)

INVOICE = Machine(
    "billing.Invoice.status",
    "billing_invoice",
    "status",
    (
        State("draft", "finance", "Check and approve it.", "Vérifiez-la et approuvez-la.", ("approved", "discarded")),
        State("approved", "finance", "Issue it.", "Émettez-la.", ("issued", "discarded")),
        State(
            "issued",
            "member",
            "Pay it by the due date.",
            "Payez-la avant l'échéance.",
            ("partly_paid", "paid", "void", "written_off"),
        ),
        State("partly_paid", "member", "Pay the rest.", "Payez le reste.", ("paid", "written_off", "issued")),
        # Back only with a Reopening of the same transaction: money that had come is lost again.
        # Money that is taken back, by a refund, a dispute or a match undone, is due again.
        State("paid", "nobody", "Nothing: it is paid.", "Rien : elle est payée.", ("partly_paid", "issued")),
        State("void", "nobody", "A credit note took it back.", "Une note de crédit l'a annulée."),
        State(
            "written_off",
            "nobody",
            "Nothing more is expected.",
            "Plus rien n'est attendu.",
            ("issued", "partly_paid", "paid"),
        ),
        State("discarded", "nobody", "It was never issued.", "Elle n'a jamais été émise."),
    ),
)

PAYMENT = Machine(
    "billing.Payment.status",
    "billing_payment",
    "status",
    (
        State(
            "created",
            "member",
            "Choose how to pay.",
            "Choisissez le mode de paiement.",
            ("pending", "succeeded", "failed"),
        ),
        State("pending", "bank", "The bank settles it.", "La banque le règle.", ("succeeded", "failed")),
        State("failed", "member", "Try again.", "Réessayez.", ("pending", "succeeded")),
        State("succeeded", "nobody", "Nothing: it arrived.", "Rien : il est arrivé."),
    ),
)
