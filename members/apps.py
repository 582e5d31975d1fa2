"""Django's configuration of the app."""

from django.apps import AppConfig


class MembersConfig(AppConfig):
    """Who: institutions, people, agreements."""

    name = "members"

    def ready(self) -> None:
        """Register the app's mails and jobs."""
        from members import (  # noqa: PLC0415 - imported for their registrations
            agreement_document,  # noqa: F401
            emails,  # noqa: F401
            upkeep,  # noqa: F401 - and invitations and sessions with it
        )
