"""`./portal manage rewrap_keys`: after a new key came first in FIELD_KEYS, so that the old one may go."""

from typing import Any

from django.core.management.base import BaseCommand

from consortium.kernel.audit import System
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.clusters import rewrap_credentials


class Command(BaseCommand):
    """Wraps the data keys of all clusters with the newest key; work goes on meanwhile."""

    help = "Wrap the data keys of all clusters with the newest of FIELD_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        """Say how many."""
        with consortium_scope(Scope.COMMAND):
            count = rewrap_credentials(by=System("rewrap_keys"), at=now())
        self.stdout.write(f"{count} wrapped with the newest of FIELD_KEYS\n")
