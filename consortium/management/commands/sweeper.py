"""The sweeper: a process of its own that makes the queue's hints unnecessary for the truth."""

import signal
import threading
from collections.abc import Callable
from datetime import datetime

import structlog
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from billing.payments import process_pending
from billing.stale_pages import want_closed
from consortium.kernel import jobs, mail, outbox
from consortium.kernel.clock import now
from members.upkeep import want_upkeep

log = structlog.get_logger(__name__)

PAUSE = 1.0


class Command(BaseCommand):
    """Every second: hint at jobs that should run, deliver events, send mail, process stored webhooks."""

    help = "Runs for ever: re-hints jobs, delivers the outbox, sends mail, processes stored webhooks."

    def handle(self, *_args: object, **_options: object) -> None:
        """Sweep until SIGTERM; an error in one duty does not stop the others."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        duties: list[Callable[[datetime], int]] = [
            lambda at: jobs.sweep(at=at),
            lambda at: process_pending(at=at),
            lambda at: want_closed(at=at),
            lambda at: outbox.deliver_due(at=at),
            lambda at: mail.send_due(at=at),
            lambda at: want_upkeep(at=at),
        ]
        while not stop.wait(PAUSE):
            close_old_connections()
            for duty in duties:
                try:
                    duty(now())
                except Exception:
                    log.exception("sweeper.duty_failed")
