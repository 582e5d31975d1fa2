"""Recomputes the audit chains."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from consortium.kernel import audit
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, AuditHead


class Command(BaseCommand):
    """Finds any edit, drop or reorder of audit events."""

    help = "Recomputes every hash chain of the audit trail; fails when one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take chains to check: institutions' ids, or "consortium"; none means all."""
        parser.add_argument("chains", nargs="*")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print what does not hold."""
        with consortium_scope(Scope.COMMAND):
            if unknown := set(options["chains"]) - set(AuditHead.objects.values_list("chain", flat=True)):
                raise CommandError(
                    f"There is no chain {min(unknown)}. Name institutions by their ids, or say consortium."
                )
            faults = audit.verify(options["chains"] or None)
            total = AuditEvent.objects.count()
        for fault in faults:
            self.stderr.write(f"{fault.chain} #{fault.seq}: {fault.message}")
        if faults:
            raise CommandError(f"{len(faults)} faults in the audit trail. Compare with a backup or an anchored head.")
        self.stdout.write(f"{total} events, every chain holds.")
