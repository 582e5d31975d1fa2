"""The state machine of a hub's life (HUBS: requested … retired)."""

from consortium.kernel.states import Machine, State

HUB = Machine(
    "provisioning.Hub.status",
    "provisioning_hub",
    "status",
    (
        State("requested", "operator", "Waits for approval.", "Attend l'approbation.", ("approved", "declined")),
        State(
            "approved",
            "worker",
            "Is about to be provisioned.",
            "Va être approvisionné.",
            ("provisioning", "declined"),
        ),
        State(
            "provisioning",
            "worker",
            "Watch it being set up.",
            "Suivez sa mise en place.",
            ("running", "failed"),
        ),
        State(
            "running",
            "nobody",
            "Open the hub.",
            "Ouvrez le hub.",
            ("updating", "degraded", "suspended", "moving", "retiring"),
        ),
        State("updating", "worker", "Watch the update.", "Suivez la mise à jour.", ("running", "failed")),
        State(
            "degraded",
            "operator",
            "The consortium looks into it.",
            "Le consortium s'en occupe.",
            ("running", "updating", "suspended", "moving", "retiring", "failed"),
        ),
        State(
            "failed",
            "operator",
            "Retry from the failed step.",
            "Relancez à partir de l'étape échouée.",
            ("provisioning", "updating", "retiring"),
        ),
        State("moving", "worker", "Watch the move.", "Suivez le déménagement.", ("running",)),
        State("suspended", "owner", "Settle what is open.", "Réglez ce qui est en suspens.", ("running", "retiring")),
        State("retiring", "worker", "Take your data away.", "Emportez vos données.", ("retired", "failed")),
        State("retired", "nobody", "Nothing: it is gone.", "Rien : il n'existe plus."),
        State("declined", "nobody", "You may request another.", "Vous pouvez en demander un autre."),
    ),
)

MOVE = Machine(
    "provisioning.HubMove.status",
    "provisioning_hubmove",
    "status",
    (
        State(
            "carrying",
            "worker",
            "The hub is set up there and its homes are carried; it can be taken back.",
            "Le hub est mis en place là-bas et ses dossiers sont transportés ; on peut encore revenir.",
            ("switched", "cancelling"),
        ),
        State(
            "cancelling",
            "worker",
            "Everything is put back as it was.",
            "Tout est remis comme avant.",
            ("cancelled",),
        ),
        State(
            "switched",
            "worker",
            "People work at the new place; the old one is ended.",
            "On travaille au nouvel endroit ; l'ancien est supprimé.",
            ("moved",),
        ),
        State("moved", "nobody", "Nothing: it has moved.", "Rien : il a déménagé."),
        State("cancelled", "nobody", "Nothing: it stays where it was.", "Rien : il reste où il était."),
    ),
)

INCIDENT = Machine(
    "provisioning.Incident.status",
    "provisioning_incident",
    "status",
    (
        State(
            "investigating",
            "operator",
            "We look for the cause.",
            "Nous cherchons la cause.",
            ("identified", "monitoring", "resolved"),
        ),
        State(
            "identified",
            "operator",
            "We know the cause and mend it.",
            "Nous connaissons la cause et la corrigeons.",
            ("monitoring", "resolved"),
        ),
        State(
            "monitoring",
            "operator",
            "It is mended; we watch whether it stays so.",
            "C'est réparé ; nous vérifions que cela tient.",
            ("investigating", "resolved"),
        ),
        State("resolved", "nobody", "Nothing: it is over.", "Rien : c'est terminé."),
    ),
)

QUESTION = Machine(
    "provisioning.StatementQuestion.status",
    "provisioning_statementquestion",
    "status",
    (
        State(
            "open",
            "operator",
            "The consortium looks at the evidence and answers.",
            "Le consortium examine les preuves et répond.",
            ("accepted", "declined"),
        ),
        State("accepted", "nobody", "The month was counted again.", "Le mois a été recompté."),
        State("declined", "nobody", "The answer says why it stands.", "La réponse dit pourquoi le résultat demeure."),
    ),
)
