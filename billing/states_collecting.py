"""The state machines of getting paid: disputes, questions, deliveries, bounces, reminders, parts, the ladder."""

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

DELIVERY = Machine(
    "billing.InvoiceDelivery.status",
    "billing_invoicedelivery",
    "status",
    (
        State(
            "prepared",
            "finance",
            "Upload it to the payer's portal, or wait for its mail to be written.",
            "Déposez-la sur le portail du payeur, ou attendez que son courriel soit écrit.",
            ("sent", "refused", "replaced"),
        ),
        State(
            "sent",
            "member",
            "The payer takes it up, or says what is wrong with it.",
            "Le payeur la traite, ou dit ce qui ne va pas.",
            ("accepted", "rejected", "bounced", "replaced"),
        ),
        State("accepted", "nobody", "Nothing: the payer has it in its books.", "Rien : le payeur l'a enregistrée."),
        State(
            "rejected",
            "finance",
            "Mend what the payer names, then send it again.",
            "Corrigez ce que le payeur indique, puis renvoyez-la.",
        ),
        State(
            "bounced",
            "finance",
            "Correct the address and send it again.",
            "Corrigez l'adresse et renvoyez-la.",
        ),
        State(
            "refused",
            "finance",
            "This way is not open; choose another one and send it again.",
            "Cette voie n'est pas ouverte ; choisissez-en une autre et renvoyez-la.",
        ),
        State("replaced", "nobody", "It was sent again.", "Elle a été renvoyée."),
    ),
)
LIVE_DELIVERY = ("prepared", "sent", "accepted")

BOUNCE = Machine(
    "billing.MailBounce.status",
    "billing_mailbounce",
    "status",
    (
        State("open", "finance", "Find the right address.", "Trouvez la bonne adresse.", ("handled",)),
        State("handled", "nobody", "Nothing: it was seen to.", "Rien : c'est réglé."),
    ),
)

REMINDER = Machine(
    "billing.Reminder.status",
    "billing_reminder",
    "status",
    (
        State(
            "wanted",
            "sweeper",
            "Its mail is written at once; the last step waits for a person.",
            "Son courriel est écrit aussitôt ; la dernière étape attend une personne.",
            ("written", "overtaken", "passed", "handled"),
        ),
        State("written", "member", "Pay the rest, or dispute a line.", "Payez le reste, ou contestez une ligne."),
        State("overtaken", "nobody", "Nothing was to be paid any more.", "Plus rien n'était à payer."),
        State("passed", "nobody", "A later step stood in for it.", "Une étape ultérieure l'a remplacé."),
        State("handled", "nobody", "Somebody has spoken with the payer.", "Quelqu'un a parlé avec le payeur."),
    ),
)

ARRANGEMENT = Machine(
    "billing.PaymentArrangement.status",
    "billing_paymentarrangement",
    "status",
    (
        State("active", "member", "Pay each part by its day.", "Payez chaque part à sa date.",
              ("kept", "broken", "cancelled")),
        State("kept", "nobody", "Nothing: all of it is paid.", "Rien : tout est payé."),
        State("broken", "member", "All of it is due again; get in touch.", "Tout est de nouveau dû ; contactez-nous."),
        State("cancelled", "member", "All of it is due again.", "Tout est de nouveau dû."),
    ),
)  # fmt: skip

LAPSE = Machine(
    "billing.LapseStep.status",
    "billing_lapsestep",
    "status",
    (
        State(
            "proposed",
            "finance",
            "A person confirms it or lays it aside.",
            "Une personne la confirme ou l'écarte.",
            ("confirmed", "dismissed"),
        ),
        State(
            "confirmed",
            "member",
            "Pay what is overdue; then it is lifted.",
            "Payez ce qui est en retard ; la mesure est alors levée.",
            ("lifted",),
        ),
        State("dismissed", "nobody", "Nothing: it was laid aside.", "Rien : elle a été écartée."),
        State("lifted", "nobody", "Nothing: what was overdue is settled.", "Rien : le retard est réglé."),
    ),
)
