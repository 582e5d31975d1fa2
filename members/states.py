"""The state machines of joining: application, membership, agreement, invitation, offer of ownership."""

from consortium.kernel.states import Machine, State

APPLICATION = Machine(
    "members.Application.status",
    "members_application",
    "status",
    (
        State(
            "draft",
            "applicant",
            "Complete and submit it.",
            "Remplissez-la et soumettez-la.",
            ("submitted", "withdrawn"),
        ),
        State(
            "submitted",
            "reviewer",
            "The consortium reviews it.",
            "Le consortium l'examine.",
            ("questioned", "approved", "declined", "withdrawn"),
        ),
        State(
            "questioned",
            "applicant",
            "Answer the reviewer's question.",
            "Répondez à la question de l'examinateur.",
            ("submitted", "withdrawn"),
        ),
        State("approved", "signatory", "Sign the service agreement.", "Signez l'entente de service."),
        State("declined", "nobody", "You may apply again.", "Vous pouvez soumettre une nouvelle demande."),
        State("withdrawn", "nobody", "You may apply again.", "Vous pouvez soumettre une nouvelle demande."),
    ),
)

MEMBERSHIP = Machine(
    "members.Membership.status",
    "members_membership",
    "status",
    (
        State("joining", "owner", "Sign the service agreement.", "Signez l'entente de service.", ("active", "ended")),
        State("active", "nobody", "Nothing: you are a member.", "Rien : vous êtes membre.", ("suspended", "leaving")),
        State("suspended", "owner", "Settle what is open.", "Réglez ce qui est en suspens.", ("active", "leaving")),
        State("leaving", "owner", "Take your data away.", "Emportez vos données.", ("ended", "active")),
        State("ended", "nobody", "You may apply again.", "Vous pouvez soumettre une nouvelle demande."),
    ),
)

AGREEMENT = Machine(
    "members.Agreement.status",
    "members_agreement",
    "status",
    (
        State(
            "draft",
            "reviewer",
            "The consortium writes it and offers it.",
            "Le consortium la rédige et la propose.",
            ("offered", "announced", "withdrawn"),
        ),
        State(
            "offered",
            "signatory",
            "Read it, then sign it or ask for a change.",
            "Lisez-la, puis signez-la ou demandez une modification.",
            ("signed", "draft", "withdrawn"),
        ),
        State(
            "signed",
            "reviewer",
            "The consortium countersigns.",
            "Le consortium contresigne.",
            ("in_force", "withdrawn"),
        ),
        State(
            "announced",
            "owner",
            "The new prices hold from their first day; end the agreement before it if you do not want them.",
            "Les nouveaux prix s'appliquent dès leur premier jour ; mettez fin à l'entente avant si vous les refusez.",
            ("in_force", "withdrawn"),
        ),
        State(
            "in_force",
            "nobody",
            "Nothing: it is in force.",
            "Rien : elle est en vigueur.",
            ("suspended", "terminating", "superseded", "ended"),
        ),
        State(
            "suspended",
            "owner",
            "Settle what the consortium wrote to you about; then it is resumed.",
            "Réglez ce que le consortium vous a écrit ; elle reprendra ensuite.",
            ("in_force", "terminating", "superseded", "ended"),
        ),
        State(
            "terminating",
            "owner",
            "Take your data away before the last day.",
            "Emportez vos données avant le dernier jour.",
            ("in_force", "suspended", "superseded", "ended"),
        ),
        State("superseded", "nobody", "A newer version is in force.", "Une version plus récente est en vigueur."),
        State("ended", "nobody", "Nothing: it has ended.", "Rien : elle a pris fin."),
        State("withdrawn", "nobody", "Nothing: it was withdrawn.", "Rien : elle a été retirée."),
    ),
)

DILIGENCE = Machine(
    "members.DiligenceDocument.status",
    "members_diligencedocument",
    "status",
    (
        State("current", "reviewer", "Keep it up to date.", "Tenez-le à jour.", ("retired",)),
        State("retired", "nobody", "Nothing: nobody sees it.", "Rien : personne ne le voit.", ("current",)),
    ),
)

INVITATION = Machine(
    "members.Invitation.status",
    "members_invitation",
    "status",
    (
        State(
            "open",
            "invitee",
            "Open the link in the mail and accept.",
            "Ouvrez le lien du courriel et acceptez.",
            ("accepted", "revoked"),
        ),
        State("accepted", "nobody", "Nothing: the person is in.", "Rien : la personne est des vôtres."),
        State("revoked", "nobody", "Invite again if it was an error.", "Invitez de nouveau si c'était une erreur."),
    ),
)

OWNERSHIP_OFFER = Machine(
    "members.OwnershipOffer.status",
    "members_ownershipoffer",
    "status",
    (
        State(
            "offered",
            "successor",
            "Accept or decline the ownership.",
            "Acceptez ou refusez la propriété.",
            ("accepted", "declined", "withdrawn"),
        ),
        State("accepted", "nobody", "Nothing: it has passed on.", "Rien : elle est transmise."),
        State("declined", "owner", "Offer it to somebody else.", "Offrez-la à quelqu'un d'autre."),
        State("withdrawn", "owner", "You may offer it again.", "Vous pouvez l'offrir de nouveau."),
    ),
)
