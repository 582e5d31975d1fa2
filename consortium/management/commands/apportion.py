"""`./portal manage apportion FILE.json`: the calculator that finance people check our shares with."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from billing.apportion import ApportionInvalid, apportion, read_document
from consortium.management.command_line import BAD_INPUT, JsonParser, path_of, print_json

MAX_BYTES = 16 << 20


class Command(BaseCommand):
    """Splits one amount, or a chain of pools, exactly; needs no server and keeps nothing."""

    help = (
        "Splits an amount exactly and prints the shares as JSON. FILE holds one JSON object (docs/how-to/"
        "check-our-shares.md); - reads it from standard input. No database is needed. Exit status 2: bad input."
    )
    requires_system_checks: list[str] = []
    output_transaction = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Answer a wrong call in JSON too."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.__class__ = JsonParser
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the document's file."""
        parser.add_argument("file", metavar="FILE.json", help="the document; - is standard input")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print the shares, or the error, and end with 0 or 2."""
        try:
            answer = apportion(read_document(_bytes(options["file"])))
        except ApportionInvalid as error:
            print_json(error.as_dict())
            self.stderr.write(error.message)
            sys.exit(BAD_INPUT)
        print_json(answer)


def _bytes(name: str) -> bytes:
    """Read the file whole: a document of members is small. Raises ApportionInvalid."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(path_of(name)).open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ApportionInvalid("file_unreadable", f"{name} cannot be read ({error.strerror or error}).") from error
    if len(data) > MAX_BYTES:
        raise ApportionInvalid("file_too_large", f"{name} is larger than 16 MiB; no document of members is.")
    return data
