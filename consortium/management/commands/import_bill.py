"""`./portal manage import_bill FILE --account NAME`: a cloud bill in, all of it or nothing."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import ProgrammingError, transaction
from rich.console import Console

from billing.bill_report import report_of, report_of_refusal
from billing.cloud_accounts import account_named
from billing.focus import BillError, BillRefused
from billing.models import BillImport, CloudAccount
from billing.periods import PeriodClosed
from billing.provider_totals import differences, record_provider_total
from consortium.kernel.audit import System
from consortium.kernel.clock import now
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import parse_amount
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.command_line import BAD_INPUT, BLOCKED, DONE, JsonParser, path_of, print_json
from consortium.usecases.import_bill import import_bill
from members.models import Issuer

COMMAND_LINE = System("command line")


class IssuerUnclear(Invalid):
    """It is not said whose bill it is."""

    code = "issuer_unclear"


class MonthsUnclear(Invalid):
    """It is not said which month's invoice has the total."""

    code = "months_unclear"


class Command(BaseCommand):
    """Reads a FOCUS bill, places its rows and keeps them; or rehearses that."""

    help = (
        "Imports a FOCUS 1.0 to 1.3 bill (CSV, .csv.gz, Parquet) in one transaction. The same content again changes "
        "nothing. Exit status: 0 done, 2 the file or the call is wrong, 3 the month is closed or the provider's "
        "invoice has another total."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Answer a wrong call in JSON too."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.__class__ = JsonParser
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the file and what is to be done with it."""
        parser.add_argument("file", metavar="FILE")
        parser.add_argument("--account", required=True, metavar="NAME", help="the cloud account that the bill is of")
        parser.add_argument("--create-account", action="store_true", help="register an account of that name if needed")
        parser.add_argument("--period", metavar="YYYY-MM", default="", help="the month that charges the bill")
        parser.add_argument("--issuer", metavar="SLUG", default="", help="whose bill it is, where there are several")
        parser.add_argument("--invoice-total", metavar="AMOUNT", help="what the provider's invoice comes to")
        parser.add_argument("--invoice", metavar="NUMBER", default="", help="the number of the provider's invoice")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen and change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Import, print, and end with the status."""
        status, report = self._answer(options)
        if options["json"]:
            print_json(report)
        else:
            _print_words(self, report, is_rehearsal=options["dry_run"])
        for error in report["errors"]:
            where = f"line {error['line']}" + (f", {error['column']}" if error["column"] else "")
            self.stderr.write(f"{where}: {error['message']}" if error["line"] else error["message"])
        if status:
            sys.exit(status)

    def _answer(self, options: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        path = path_of(options["file"])
        try:
            return self._import(path, options)
        except BillRefused as refused:
            return BAD_INPUT, report_of_refusal(list(refused.errors), rows=refused.rows)
        except OSError as error:
            return BAD_INPUT, _refusal(f"{path} cannot be read ({error.strerror or error}).")
        except PortalError as error:
            return BLOCKED if isinstance(error, PeriodClosed) else BAD_INPUT, _refusal(error.message)
        except ProgrammingError as error:
            if "does not exist" not in str(error):
                raise
            return BLOCKED, _refusal("The database of this home has no tables yet. Run: ./portal manage migrate")

    def _import(self, path: Path, options: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        at, is_rehearsal = now(), options["dry_run"]
        total = parse_amount(options["invoice_total"]) if options["invoice_total"] is not None else None
        with Console(stderr=True).status("reading the bill") as status, consortium_scope(Scope.COMMAND):
            bill = import_bill(
                path,
                issuer=_issuer(options["issuer"], options["account"]),
                charged_month=str(Month.parse(options["period"])) if options["period"] else "",
                by=COMMAND_LINE,
                at=at,
                account=options["account"],
                create_account=options["create_account"],
                is_rehearsal=is_rehearsal,
                progress=lambda rows: status.update(f"{rows:,} rows"),
            )
            if total is not None:
                _state(bill, total, options["invoice"])
            report = report_of(bill)
            differing = differences([bill, *bill.siblings])
            transaction.set_rollback(is_rehearsal)
        for difference in differing.values():
            report["errors"].append(BillError(0, "BilledCost", difference.message).as_dict())
        return BLOCKED if differing else DONE, report


def _state(bill: BillImport, total: Decimal, reference: str) -> None:
    """Record what the provider's invoice comes to. Raises MonthsUnclear for a file of several months."""
    if bill.siblings:
        raise MonthsUnclear("The file holds several months: state what each invoice comes to in the staff site.")
    record_provider_total(
        account=bill.cloud_account,
        month=Month.parse(bill.month),
        total=total,
        currency=bill.currency,
        reference=reference,
        by=COMMAND_LINE,
        at=now(),
    )


def _issuer(slug: str, account: str) -> Issuer:
    """Return the issuer that was named, or whose account it is, or the only one. Raises IssuerUnclear."""
    issuers = list(Issuer.objects.order_by("slug"))
    if slug:
        issuers = [issuer for issuer in issuers if issuer.slug == slug]
    elif len(issuers) > 1:
        accounts = (account_named(issuer, account) for issuer in issuers)
        issuers = [found.issuer for found in accounts if isinstance(found, CloudAccount)]
    if len(issuers) != 1:
        known = ", ".join(Issuer.objects.order_by("slug").values_list("slug", flat=True)) or "none yet"
        raise IssuerUnclear(f"Say whose bill it is with --issuer. Issuers: {known}.", field="issuer")
    return issuers[0]


def _refusal(message: str) -> dict[str, Any]:
    return report_of_refusal([BillError(0, "", message)])


def _print_words(command: BaseCommand, report: dict[str, Any], *, is_rehearsal: bool) -> None:
    """Say the same to a person."""
    if report["version"] is None:
        command.stdout.write("Nothing was imported.")
        return
    what = "was imported before" if report["already_imported"] else "would be imported" if is_rehearsal else "is in"
    for bill in report["bills"]:
        known = "was imported before" if bill["already_imported"] else what
        command.stdout.write(
            f"{report['account']} {bill['period']} version {bill['version']} {known}: {bill['rows']} rows, "
            f"{bill['billed_total']} {report['currency']}, charged in {bill['charged_in']}."
        )
    for name, amount in report["by_pool"].items():
        command.stdout.write(f"  {name:<32}{amount:>24} {report['currency']}")
    if report["unknown_columns"]:
        command.stdout.write(f"  Columns that FOCUS does not know: {', '.join(report['unknown_columns'])}")
