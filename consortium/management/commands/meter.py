"""The meter: a process of its own that looks at every running hub once per interval."""

import signal
import threading
import time

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from consortium.kernel.clock import now
from provisioning.metering import sample_all
from provisioning.rollups import roll_recent
from provisioning.sample_months import make_sample_months

log = structlog.get_logger(__name__)

ROLL_EVERY = 10  # intervals


class Command(BaseCommand):
    """Samples all running hubs each SAMPLE_INTERVAL_SECONDS and rolls the recent days up."""

    help = "Runs for ever: samples every running hub once per SAMPLE_INTERVAL_SECONDS."

    def handle(self, *_args: object, **_options: object) -> None:
        """Sample until SIGTERM; a look that is missed stays a gap, it is never made up."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        make_sample_months(at=now())
        interval, turn = settings.SAMPLE_INTERVAL_SECONDS, 0
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + interval, time.monotonic())
            close_old_connections()
            try:
                sample_all(at=now())
                turn += 1
                if turn % ROLL_EVERY == 0:
                    roll_recent(at=now())
            except Exception:
                log.exception("meter.failed")
