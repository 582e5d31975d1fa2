"""What our commands for programs have in common: one JSON document on stdout, talk on stderr, three exit statuses."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from django.core.management.base import CommandParser

DONE: Final = 0
BAD_INPUT: Final = 2
BLOCKED: Final = 3


def path_of(text: str) -> Path:
    """Will return the file that a person named from the folder in which ./portal was called."""
    return Path(os.environ.get("PORTAL_CWD") or Path.cwd(), text)


def print_json(document: Mapping[str, Any]) -> None:
    """Will write the one document that stdout carries, in one line of ASCII."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


class JsonParser(CommandParser):
    """A wrong call is answered in JSON too, where programs listen, and in words where people do. Status 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the call, twice, and end."""
        print_json({"error": {"code": "usage", "message": message, "field": None}})
        self.print_usage(sys.stderr)
        self.exit(BAD_INPUT, f"{self.prog}: {message}\n")
