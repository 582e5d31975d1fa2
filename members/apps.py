"""Django's configuration of the app."""

from django.apps import AppConfig


class MembersConfig(AppConfig):
    """Who: institutions, people, agreements."""

    name = "members"

    def ready(self) -> None:
        """Register the app's mails and jobs."""
        from members import (  # noqa: F401, PLC0415 - imported for their registrations
            agreement_document,
            agreement_emails,
            bank_emails,
            domain_emails,
            domain_jobs,
            emails,
            exit_emails,
            sign_on_emails,
            upkeep,
        )
        from members.sign_on import entering  # noqa: F401, PLC0415 - likewise
