"""`./portal bench`: each line is what we do, the raw floor of the same work, and the ratio of the two."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from psycopg import sql

from bench import bills, books

if TYPE_CHECKING:
    from django.test import Client

VISITS = 30
ROOT = Path(__file__).resolve().parent.parent


def timed(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def scratch_database() -> str:
    """A migrated database of this run alone; its name."""
    name = f"portal_bench_{uuid4().hex[:8]}"
    parts = urlsplit(os.environ["DATABASE_OWNER_URL"])
    owner = urlunsplit(parts._replace(path="/postgres"))
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    migrate = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"]
    environment = {**os.environ, "DATABASE_URL": urlunsplit(parts._replace(path=f"/{name}"))}
    subprocess.run(migrate, env=environment, check=True, cwd=ROOT)
    os.environ["DATABASE_URL"] = urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
    return name


def drop(name: str) -> None:
    """Take the scratch database away."""
    owner = urlunsplit(urlsplit(os.environ["DATABASE_OWNER_URL"])._replace(path="/postgres"))
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def say(what: str, ours: float, floor: float, floor_name: str) -> None:
    """One line of the report."""
    sys.stdout.write(f"{what:<44}{ours:8.3f} s {floor_name:>34}{floor:8.3f} s   × {ours / floor:5.1f}\n")


def allocation(members: int) -> None:
    """Splitting a pool, against adding up as many decimals."""
    from billing.allocation import Method, allocate

    weights = {f"m{number:05}": Decimal(number % 97 + 1) for number in range(members)}
    ours = timed(lambda: allocate(Method.PROPORTIONAL, amount=Decimal("123456.78"), currency="CAD", members=weights))
    floor = timed(lambda: [weight / Decimal(7) for weight in weights.values()])
    say(f"allocate a pool over {members} members", ours, floor, "as many decimal divisions")


def bill_reading(copies: int) -> None:
    """Reading a bill, against Python's own csv over the same text."""
    import csv

    from billing.focus import read_bill
    from billing.sample_bill import SampleHub, sample_bill
    from consortium.kernel.periods import Month

    hubs = [SampleHub(university=f"u{number}", hub=f"u{number}-hub") for number in range(copies)]
    text = sample_bill(Month(2026, 10), account="bench", hubs=hubs, every_days=1)
    bill = read_bill(io.BytesIO(text), "bench.csv")
    ours = timed(lambda: sum(1 for _ in bill))
    floor = timed(lambda: sum(1 for _ in csv.reader(io.StringIO(text.decode()))))
    say(f"read and check a FOCUS bill of {bill.rows} rows", ours, floor, "csv.reader over the same text")


def pages() -> None:
    """A page of the portal, against one that makes a single query."""
    from django.test import Client

    client = Client(SERVER_NAME="127.0.0.1")
    for path in ("/en/", "/en/status/", "/readyz"):
        client.get(path)
    floor = timed(lambda: visit(client, "/readyz"))
    for path in ("/en/", "/en/status/"):
        say(f"{path} × {VISITS}", timed(partial(visit, client, path)), floor, f"one-query page × {VISITS}")


def visit(client: "Client", path: str) -> None:
    """Open a page some times."""
    for _ in range(VISITS):
        answer = client.get(path)
        if answer.status_code != 200:
            raise SystemExit(f"{path} answered {answer.status_code}")


def main() -> None:
    """Run every measurement."""
    if sys.argv[1:2] == ["hubs"]:
        from bench import hubs

        hubs.main(*(int(word) for word in sys.argv[2:3]))
        return
    if sys.argv[1:2] == ["local"]:
        from bench import local_hubs

        local_hubs.main(*(int(word) for word in sys.argv[2:3]))
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "consortium.settings")
    name = scratch_database()
    try:
        import django
        from django.db import connections

        django.setup()
        if sys.argv[1:2] == ["meter"]:
            from bench import meter

            meter.run(*([int(word) for word in sys.argv[2:3]] or [5_000_000]))
            connections.close_all()
            return
        allocation(1_000)
        allocation(10_000)
        bill_reading(50)
        bills.measure()
        pages()
        books.run(books.FULL if "--full" in sys.argv[1:] else books.SMALL, say)
        connections.close_all()
    finally:
        drop(name)


if __name__ == "__main__":
    main()
