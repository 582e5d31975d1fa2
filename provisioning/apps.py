"""Django's configuration of the app."""

from django.apps import AppConfig


class ProvisioningConfig(AppConfig):
    """Hubs: clusters, specs, metering."""

    name = "provisioning"

    def ready(self) -> None:
        """Let the outbox know this app's mails, and the workers its jobs."""
        from provisioning import cluster_checks, emails, reconcile, transitions  # noqa: F401, PLC0415 - models are ready only now
        from provisioning.events import emails as event_emails  # noqa: F401, PLC0415 - likewise
        from provisioning.moving import mails, saga  # noqa: F401, PLC0415 - likewise
        from provisioning.status_mail import emails as status_emails  # noqa: F401, PLC0415 - likewise
        from provisioning.support import emails as support_emails  # noqa: F401, PLC0415 - likewise
