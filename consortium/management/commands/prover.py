"""The prover: a process of its own that has a synthetic user work on every hub, and compares it with its spec."""

import signal
import threading
import time

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from consortium.kernel.clock import now
from provisioning.drift import look_for_drift
from provisioning.service_level.days import count_recent
from provisioning.service_level.proving import prove_all
from provisioning.service_level.statements import make_due_statements

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    """Visits all running hubs each WORK_CHECK_INTERVAL_SECONDS; then counts days and months, and looks for drift."""

    help = "Runs for ever: proves that people can work on every running hub, once per WORK_CHECK_INTERVAL_SECONDS."

    def handle(self, *_args: object, **_options: object) -> None:
        """Visit until SIGTERM; a visit that is missed leaves its time unknown, it is never made up."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        interval, due = settings.WORK_CHECK_INTERVAL_SECONDS, time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + interval, time.monotonic())
            close_old_connections()
            for duty in (prove_all, count_recent, make_due_statements, look_for_drift):
                try:
                    duty(at=now())
                except Exception:
                    log.exception("prover.failed")
