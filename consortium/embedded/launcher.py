"""What `./portal` hands over to: finds the home, brings the servers up, runs one verb, stops what it started.

The only module of this package that calls Django, and only once everything Django needs is up.
"""

from __future__ import annotations

import argparse
import base64
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from django.core.management import execute_from_command_line

from consortium.embedded import quality
from consortium.embedded.catalogues import compile_catalogues
from consortium.embedded.errors import EmbeddedError
from consortium.embedded.guardian import Guardian, new_run_id
from consortium.embedded.home import ROOT, Home
from consortium.embedded.ports import choose_port, free_port
from consortium.embedded.services import Servers, Services
from consortium.embedded.verbs import VERBS, help_text
from consortium.kernel.configuration import ConfigurationError
from consortium.kernel.errors import PortalError

DEMO_PORT = 8000
DEMO_SAMPLE_INTERVAL_SECONDS = 2
OWNER_COMMANDS = frozenset(
    {"migrate", "makemigrations", "sqlmigrate", "squashmigrations", "optimizemigration", "flush", "sqlflush"}
)
# Calculators: they look at nothing but their arguments, so no server is started and no home is made for them.
SERVERLESS_COMMANDS = frozenset({"apportion"})
_SECRETS = ("SECRET_KEY", "FIELD_KEYS", "AUDIT_SALT")  # given ones open what they sealed before
_STRIPE = ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "STRIPE_API_BASE")


class Stopped(SystemExit):
    """Someone asked this process to end; the exit status is the shell's for that signal."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class BillUnreadableError(EmbeddedError):
    """The file of --bill cannot be opened; said before anything is started."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"The bill {path} cannot be read ({reason}): give --bill the path of a FOCUS 1.0 CSV file.")


class HubEnvironmentMissingError(EmbeddedError):
    """`.venv-hub` is not there, so no hub could start."""

    def __init__(self, python: str) -> None:
        super().__init__(f"There is no Python for the hubs at {python}: start the demo with ./portal, which makes it.")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb and returns its exit status: 2 for a wrong call, 1 for a failure said in one sentence."""
    home, verb, rest = _split(list(sys.argv[1:] if argv is None else argv))
    if verb in {"", "help", "-h", "--help"}:
        sys.stdout.write(help_text())
        return 0
    if verb not in _RUN:
        sys.stderr.write(f"portal: there is no verb {verb!r}; ./portal help explains all.\n")
        return 2
    _listen_for_the_end()
    compile_catalogues()
    try:
        return _RUN[verb](home, rest)
    except (EmbeddedError, ConfigurationError, PortalError) as error:
        sys.stderr.write(f"portal: {error}\n")
        return 1


def _split(argv: list[str]) -> tuple[str | None, str, list[str]]:
    """The home of --home (anywhere, but for `manage` only before the verb), the verb, and what is left."""
    parser = argparse.ArgumentParser(prog="./portal", add_help=False, allow_abbrev=False)
    parser.add_argument("--home")
    verb = next((position for position, word in enumerate(argv) if _is_verb(argv, position)), len(argv))
    before, rest = argv[:verb], argv[verb + 1 :]
    name = argv[verb] if verb < len(argv) else ""
    home: str | None = None
    options, unknown = parser.parse_known_args(before)
    home = options.home
    if unknown:
        return home, unknown[0], rest
    if name != "manage":
        options, rest = parser.parse_known_args(rest)
        home = options.home or home
    return home, name, rest


def _is_verb(argv: list[str], position: int) -> bool:
    return not argv[position].startswith("-") and (position == 0 or argv[position - 1] != "--home")


def _listen_for_the_end() -> None:
    def stop(number: int, _frame: FrameType | None) -> None:
        for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(again, signal.SIG_IGN)  # the first one is enough: what follows only cleans up
        raise Stopped(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


@contextmanager
def _servers(home: Home, *, durable: bool = True) -> Iterator[Servers]:
    """PostgreSQL and Valkey for one verb, under the eyes of a guardian."""
    run_id = new_run_id()
    os.environ["PORTAL_RUN"] = run_id
    with Guardian(run_id, home=home.path), Services(home, os.environ, run_id=run_id, durable=durable) as servers:
        yield servers


def _environment(home: Home, servers: Servers, *, port: int, **more: str | bool | int) -> dict[str, str]:
    database = servers.database
    return home.environment(
        app_url=database.app_url,
        owner_url=database.owner_url,
        redis_url=servers.valkey.url,
        port=port,
        stripe_api_base=str(more.get("stripe_api_base", "")),
        dns_resolver=str(more.get("dns_resolver", "")),
        demo=bool(more.get("demo", False)),
        sample_interval_seconds=int(more.get("sample_interval_seconds", 60)),
    )


def _demo(home_option: str | None, arguments: list[str]) -> int:
    options = _demo_options(arguments)
    if options.bill is not None:
        _check_bill(options.bill)
    port = choose_port((0 if options.once else DEMO_PORT) if options.port is None else options.port)
    home = Home.resolve(home_option, os.environ)
    with home.held():
        try:
            with _servers(home) as servers:
                _prepare_demo(home, servers, port)
                return _django(["demo", *_demo_arguments(options, port)])
        except (EmbeddedError, ConfigurationError, PortalError):
            raise
        except Exception as error:  # noqa: BLE001 - the last net: a person gets a sentence, the log the traceback
            return _say_and_log("The demo", error, home.logs / "demo.log")


def _demo_options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./portal demo", description=VERBS["demo"][0], allow_abbrev=False)
    parser.add_argument("--once", action="store_true", help="end after the main job")
    parser.add_argument("--json", action="store_true", help="print the result as the last line of stdout")
    parser.add_argument("--port", type=_port, help="where to serve; 0 takes any free port")
    parser.add_argument("--bill", type=_path, help="a FOCUS 1.0 bill in CSV")
    parser.add_argument("--hold", action="append", default=[], metavar="NAME", help="keep this process down")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port: say a number from 0 to 65535")
    return port


def _path(text: str) -> Path:
    return Path(os.environ.get("PORTAL_CWD") or Path.cwd(), text).resolve()


def _check_bill(path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise BillUnreadableError(path, error.strerror or str(error)) from error


def _demo_arguments(options: argparse.Namespace, port: int) -> list[str]:
    flags = [flag for flag, is_set in (("--once", options.once), ("--json", options.json)) if is_set]
    bill = ["--bill", str(options.bill)] if options.bill else []
    holds = [word for name in options.hold for word in ("--hold", name)]
    return [*flags, "--port", str(port), *bill, *holds]


def _prepare_demo(home: Home, servers: Servers, port: int) -> None:
    simulator = f"http://127.0.0.1:{home.stripe_port()}"
    ours = _environment(
        home, servers, port=port, stripe_api_base=simulator, demo=True,
        dns_resolver=os.environ.get("DNS_RESOLVER") or f"127.0.0.1:{home.dns_port()}",
        sample_interval_seconds=DEMO_SAMPLE_INTERVAL_SECONDS,
    )  # fmt: skip
    if not Path(ours["HUB_PYTHON"]).exists():
        raise HubEnvironmentMissingError(ours["HUB_PYTHON"])
    if os.environ.get("STRIPE_API_KEY"):  # the person wants Stripe itself
        ours |= {name: os.environ.get(name, "") for name in _STRIPE}
    ours |= {name: value for name, value in os.environ.items() if value and name in _SECRETS}
    os.environ.update(ours)


def _manage(home_option: str | None, arguments: list[str]) -> int:
    if arguments and arguments[0] in SERVERLESS_COMMANDS:
        os.environ.update(_nowhere())
        return _django(arguments)
    home = Home.resolve(home_option, os.environ)
    with _servers(home) as servers:
        ours = _environment(home, servers, port=DEMO_PORT)
        ours |= {name: value for name, value in os.environ.items() if value and name in ours}
        ours |= {"DATABASE_URL": servers.database.app_url, "PORTAL_HOME": str(home.path)}
        if arguments and arguments[0] in OWNER_COMMANDS:
            ours["DATABASE_URL"] = servers.database.owner_url
        os.environ.update(ours)
        return _django(arguments)


def _nowhere() -> dict[str, str]:
    """Settings that lead nowhere and open nothing, for commands that need neither server nor home."""
    secrets = dict.fromkeys(("SECRET_KEY", "AUDIT_SALT", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"), "unused")
    return secrets | {
        "FIELD_KEYS": base64.urlsafe_b64encode(bytes(32)).decode(),
        "PORTAL_HOME": os.devnull,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PUBLIC_URL": f"http://127.0.0.1:{DEMO_PORT}",
        "DJANGO_SETTINGS_MODULE": "consortium.settings",
    }


def _test(home_option: str | None, arguments: list[str]) -> int:
    # The whole suite waits for real servers much of its time, so one worker more than processors helps; a part of it is
    # run plainly.
    words = arguments or ["-n", str(min((os.cpu_count() or 1) + 1, 8))]
    return _in_test_home(home_option, lambda: _child([sys.executable, "-m", "pytest", *words]))


def _bench(home_option: str | None, arguments: list[str]) -> int:
    return _in_test_home(home_option, lambda: _child([sys.executable, "-m", "bench", *arguments]))


def _check(home_option: str | None, _arguments: list[str]) -> int:
    return _in_test_home(home_option, lambda: quality.run_all(quality.CHECKS, os.environ))


def _fix(_home_option: str | None, _arguments: list[str]) -> int:
    return quality.run_all(quality.FIXES, os.environ)


def _docs(home_option: str | None, _arguments: list[str]) -> int:
    return _in_test_home(home_option, lambda: _child([sys.executable, "manage.py", "diagrams"]))


def _in_test_home(home_option: str | None, work: Callable[[], int]) -> int:
    """Runs `work` with servers of its own in the `test` folder of the home, and an environment that is all ours."""
    home = Home.resolve(home_option, os.environ, below="test")
    with _servers(home, durable=False) as servers:
        os.environ.update(_environment(home, servers, port=free_port()))
        return work()


def _child(argv: list[str]) -> int:
    """Runs a program in the foreground; when this process must end, it lets the program end first."""
    with subprocess.Popen(argv, cwd=ROOT) as child:
        try:
            return child.wait()
        except Stopped:
            # Ctrl-C reached it as well; a signal to this process alone did not.
            for patience, number in ((3, signal.SIGINT), (10, signal.SIGKILL)):
                try:
                    child.wait(patience)
                except subprocess.TimeoutExpired:
                    child.send_signal(number)
            raise


def _django(arguments: list[str]) -> int:
    """Runs a Django command in this process and returns its exit status."""
    try:
        execute_from_command_line(["./portal manage", *arguments])
    except Stopped:
        raise
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _say_and_log(who: str, error: Exception, log: Path) -> int:
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{datetime.now(UTC).isoformat()}\n{traceback.format_exc()}\n")
    words = (str(error).strip().splitlines() or ["no further words"])[0]
    sys.stderr.write(f"portal: {who} stopped at an error ({type(error).__name__}: {words}). Details: {log}\n")
    return 1


_RUN: dict[str, Callable[[str | None, list[str]], int]] = {
    "demo": _demo,
    "test": _test,
    "check": _check,
    "fix": _fix,
    "bench": _bench,
    "docs": _docs,
    "manage": _manage,
}

if __name__ == "__main__":
    sys.exit(main())
