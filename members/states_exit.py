"""The state machine of a member's exit, from notice to certificate."""

from consortium.kernel.states import Machine, State

EXIT = Machine(
    "members.MemberExit.status",
    "members_memberexit",
    "status",
    (
        State(
            "open",
            "owner",
            "Take your data away before the last day.",
            "Emportez vos données avant le dernier jour.",
            ("closing", "withdrawn"),
        ),
        State(
            "closing",
            "worker",
            "Hubs are exported and ended; the last month is billed.",
            "Les hubs sont exportés et supprimés ; le dernier mois est facturé.",
            ("settling",),
        ),
        State(
            "settling",
            "finance",
            "What is open is paid, and credit that is owed is paid out.",
            "Ce qui est ouvert est payé, et le crédit dû est remboursé.",
            ("keeping",),
        ),
        State(
            "keeping",
            "owner",
            "Download the bundle before your data is deleted.",
            "Téléchargez l'archive avant la suppression de vos données.",
            ("certified",),
        ),
        State("certified", "nobody", "Nothing: it is over.", "Rien : c'est terminé."),
        State("withdrawn", "nobody", "Nothing: the notice was taken back.", "Rien : l'avis a été retiré."),
    ),
)
ENDED = ("certified", "withdrawn")
