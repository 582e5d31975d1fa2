"""The state machines of proving who one is: a university's domain, and its sign-on configuration."""

from consortium.kernel.states import Machine, State

DOMAIN = Machine(
    "members.Domain.status",
    "members_domain",
    "status",
    (
        State(
            "pending",
            "technical",
            "Publish the TXT record, then check.",
            "Publiez l'enregistrement TXT, puis vérifiez.",
            ("verified", "removed"),
        ),
        State(
            "verified",
            "nobody",
            "Nothing: keep the record where it is.",
            "Rien : laissez l'enregistrement en place.",
            ("lost", "removed"),
        ),
        State(
            "lost",
            "technical",
            "Publish the TXT record again, then check.",
            "Publiez de nouveau l'enregistrement TXT, puis vérifiez.",
            ("verified", "removed"),
        ),
        State("removed", "nobody", "Nothing: it was removed.", "Rien : il a été retiré."),
    ),
)

SIGN_ON = Machine(
    "members.SignOn.status",
    "members_signon",
    "status",
    (
        State(
            "draft",
            "technical",
            "Test it with a sign-in of your own.",
            "Faites l'essai avec votre propre connexion.",
            ("tested", "off"),
        ),
        State("tested", "technical", "Turn it on.", "Activez-la.", ("draft", "enabled", "off")),
        State(
            "enabled",
            "owner",
            "Require it, once your colleagues have used it.",
            "Rendez-la obligatoire une fois que vos collègues l'ont utilisée.",
            ("enforced", "off"),
        ),
        State(
            "enforced",
            "nobody",
            "Nothing: people of your domains sign in with it.",
            "Rien : les personnes de vos domaines se connectent ainsi.",
            ("enabled", "off"),
        ),
        State("off", "technical", "Set up a new one.", "Configurez-en une nouvelle."),
    ),
)
