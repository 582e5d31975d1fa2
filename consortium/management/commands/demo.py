"""`./portal demo`: the main job, step by step, then the portal serves on. The launcher has the servers up already."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from rich.table import Table

from billing.focus import read_bill
from consortium.embedded.guardian import new_run_id
from consortium.embedded.supervisor import Supervisor
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import Month, local_month
from consortium.management.demo.narrator import Narrator
from consortium.management.demo.people import DemoPerson
from consortium.management.demo.processes import all_processes

HISTORY_MONTHS = 2


class Command(BaseCommand):
    """Runs the demonstration in a home."""

    help = "The main job from an application to a paid invoice; use ./portal demo, which starts the servers."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what the launcher hands over."""
        parser.add_argument("--once", action="store_true")
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--port", type=int, required=True)
        parser.add_argument("--bill", type=Path)
        parser.add_argument("--hold", action="append", default=[])

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the steps; serve until Ctrl-C unless --once."""
        home, narrator = Path(settings.PORTAL_HOME), Narrator()
        run_id = os.environ.get("PORTAL_RUN") or new_run_id()
        processes = all_processes(home, options["port"])
        supervisor = Supervisor(processes, run_id=run_id, log_dir=home / "logs", hold=options["hold"])
        result: dict[str, Any] = {"ok": False}
        try:
            try:
                result = self._tell(narrator, supervisor, home, options)
            except PortalError as error:
                result = {"ok": False, "error": {"code": error.code, "message": error.message}}
                raise CommandError(error.message, returncode=1) from error
            finally:
                if options["json"]:
                    _print(result, narrator)
            if not options["once"]:
                self._serve(narrator)
        finally:
            supervisor.stop()
        if not result["ok"]:
            raise CommandError("The demonstration ended, but not all of it is true; see the JSON.", returncode=1)

    def _tell(self, narrator: Narrator, supervisor: Supervisor, home: Path, options: dict[str, Any]) -> dict[str, Any]:
        if options["bill"]:
            check_bill(options["bill"])
        with narrator.step("servers", "Servers, migrations and processes") as step:
            if _is_behind():
                _migrate(narrator)
            narrator.say("starting web, worker, hubs")
            supervisor.start()
            step.link = f"{settings.PUBLIC_URL}/en/"
        # Models and what stands on them are imported only now: before, there might have been no tables.
        from consortium.management.demo.telling import tell  # noqa: PLC0415

        month = remembered_month(home)
        result, people = tell(
            narrator, home=home, month=month, history=HISTORY_MONTHS, bill=options["bill"], supervisor=supervisor
        )
        narrator.table()
        _show_people(narrator, people)
        return result

    @staticmethod
    def _serve(narrator: Narrator) -> None:
        narrator.console.print(f"\nThe portal is at [bold]{settings.PUBLIC_URL}[/]. Ctrl-C stops everything.")
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        stop.wait()


def _print(result: dict[str, Any], narrator: Narrator) -> None:
    """The one line that programs read."""
    steps = [{"name": step.name, "seconds": round(step.seconds, 2), "ok": step.ok} for step in narrator.steps]
    sys.stdout.write(json.dumps(result | {"steps": steps}) + "\n")
    sys.stdout.flush()


def check_bill(path: Path) -> None:
    """Read the whole bill before anything is started or written. Raises BillRefused with the lines at fault."""
    with path.open("rb") as stream:
        bill = read_bill(stream, path.name)
        for _record in bill:
            pass
        bill.require_clean()


def remembered_month(home: Path) -> Month:
    """The month whose close the home shows: the current one at its first run, kept for later runs."""
    path = home / "month"
    if not path.exists():
        path.write_text(str(local_month(now(), "America/Vancouver")))
    return Month.parse(path.read_text().strip())


def _is_behind() -> bool:
    """Tell whether the database lacks a migration; a second start need not run them."""
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _migrate(narrator: Narrator) -> None:
    narrator.say("migrating the database")
    owner = {**os.environ, "DATABASE_URL": os.environ["DATABASE_OWNER_URL"]}
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "migrate", "--verbosity", "0"]
    done = subprocess.run(command, env=owner, capture_output=True, text=True, check=False, cwd=settings.BASE_DIR)
    if done.returncode:
        tail = (done.stderr.strip().splitlines() or ["no further words"])[-1]
        raise CommandError(f"The database cannot be migrated: {tail}", returncode=1)


def _show_people(narrator: Narrator, people: dict[str, DemoPerson]) -> None:
    table = Table(title="Sign in as", title_justify="left")
    for heading in ("Who", "E-mail", "Password", "TOTP secret (authenticator app)"):
        table.add_column(heading)
    for person in people.values():
        table.add_row(f"{person.name} ({person.role})", person.email, person.password, person.totp_secret or "—")
    narrator.show(table)
