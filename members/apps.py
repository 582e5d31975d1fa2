"""Django's configuration of the app."""

from django.apps import AppConfig


class MembersConfig(AppConfig):
    """Who: institutions, people, agreements."""

    name = "members"

    def ready(self) -> None:
        """Register the app's mails and jobs."""
        from members import agreement_document, agreement_emails, emails  # noqa: F401, PLC0415 - imported for their registrations
