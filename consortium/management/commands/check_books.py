"""Checks the books now, as it happens every night."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.books_check import check_books
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope


class Command(BaseCommand):
    """Computes anew what must always hold; exit status 3 when something does not."""

    help = "Checks that the ledger balances and agrees with invoices and payments; what does not hold waits for staff."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take --json."""
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Check, keep the result, say it."""
        with consortium_scope(Scope.COMMAND):
            check = check_books(at=now())
        if options["json"]:
            self.stdout.write(json.dumps({"ok": not check.faults, "faults": check.faults}))
        for fault in check.faults:
            self.stderr.write(fault)
        if check.faults:
            raise CommandError(f"{len(check.faults)} faults in the books.", returncode=3)
        self.stderr.write("The books hold.")
