"""Takes mail that came back: a mail server pipes each message for the sender's address into it."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.bounces import LONGEST, take_report
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.command_line import BAD_INPUT, path_of, print_json


class Command(BaseCommand):
    """Reads one message; a report about one of our mails becomes a task, anything else is passed over. Status 0."""

    help = "Reads one mail (from stdin, or FILE) and records it when it reports that a mail of the portal came back."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the file."""
        parser.add_argument("file", nargs="?", metavar="FILE", help="a message as a file; default: stdin")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Take it, and say what it was as one JSON document."""
        try:
            if options["file"]:
                with path_of(options["file"]).open("rb") as stream:
                    raw = stream.read(LONGEST + 1)
            else:
                raw = sys.stdin.buffer.read(LONGEST + 1)
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}.", returncode=BAD_INPUT) from error
        with consortium_scope(Scope.COMMAND):
            bounce = take_report(raw, at=now())
        if bounce is None:
            print_json({"taken": False})
        else:
            print_json({"taken": True, "mail": str(bounce.mail_id), "code": bounce.code, "status": bounce.status})
