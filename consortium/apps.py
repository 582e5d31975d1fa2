"""The project as a Django app."""

from typing import Any

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

MINIMUM_POSTGRESQL = 180_000


def check_version(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Refuse a server that lacks uuidv7()."""
    version = getattr(connection, "pg_version", MINIMUM_POSTGRESQL)
    if version < MINIMUM_POSTGRESQL:
        raise ImproperlyConfigured(
            f"PostgreSQL 18 or newer is needed, DATABASE_URL names a server of version {version // 10_000}."
        )


class ConsortiumConfig(AppConfig):
    """The kernel's tables and the project's edges."""

    name = "consortium"

    def ready(self) -> None:
        """Watch new connections, and let committed jobs reach the workers."""
        from consortium.celery import send_hint  # noqa: PLC0415 - Celery's app reads the settings
        from consortium.kernel.jobs import set_hint  # noqa: PLC0415 - models are ready only now
        from consortium.usecases import close_period, take_away  # noqa: F401, PLC0415 - they register jobs and parts

        set_hint(send_hint)
        connection_created.connect(check_version, dispatch_uid="consortium.version")
