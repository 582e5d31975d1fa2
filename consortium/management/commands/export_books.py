"""Writes the books for beancount or for an accounting package."""

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.books_export import BooksUnsound, export_books
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Issuer

BAD_INPUT, BLOCKED = 2, 3


class Command(BaseCommand):
    """Exports every issuer's books, or one's; exit status 2 for a wrong call, 3 when the books do not balance."""

    help = "Writes the books into a folder: as one beancount file, or as CSV journals for an accounting package."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the format, the folder, and what to leave out."""
        parser.add_argument("--format", required=True, choices=["beancount", "csv"])
        parser.add_argument("--out", required=True, metavar="DIR", help="the folder to write into, made if needed")
        parser.add_argument("--issuer", metavar="SLUG", help="one issuer's books; default: all")
        parser.add_argument("--since", metavar="YYYY-MM-DD", help="the first accounting day; default: all")
        parser.add_argument("--until", metavar="YYYY-MM-DD", help="the last accounting day; default: all")
        parser.add_argument("--json", action="store_true", help="print what was written as JSON")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write, then say what was written."""
        folder = Path(os.environ.get("PORTAL_CWD") or Path.cwd(), options["out"]).resolve()
        since, until = _day(options["since"], "--since"), _day(options["until"], "--until")
        try:
            with consortium_scope(Scope.COMMAND):
                issuers = _issuers(options["issuer"])
                files = export_books(issuers, form=options["format"], folder=folder, since=since, until=until)
        except PortalError as error:
            status = BLOCKED if isinstance(error, BooksUnsound) else BAD_INPUT
            raise CommandError(error.message, returncode=status) from error
        for each in files:
            self.stderr.write(f"{each.path}: {each.entries} entries, {each.legs} legs")
        if options["json"]:
            words = [
                {
                    "issuer": each.issuer,
                    "path": str(each.path),
                    "entries": each.entries,
                    "legs": each.legs,
                    "sha256": each.sha256,
                }
                for each in files
            ]
            self.stdout.write(json.dumps({"format": options["format"], "out": str(folder), "files": words}))


def _issuers(slug: str | None) -> list[Issuer]:
    issuers = list(Issuer.objects.order_by("slug"))
    if slug is None:
        return issuers
    if found := [issuer for issuer in issuers if issuer.slug == slug]:
        return found
    known = ", ".join(issuer.slug for issuer in issuers) or "none"
    raise CommandError(f"There is no issuer {slug}. Known: {known}.", returncode=BAD_INPUT)


def _day(text: str | None, option: str) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{option} {text!a} is no day. Write it as 2026-11-30.", returncode=BAD_INPUT) from None
