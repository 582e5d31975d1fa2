"""The process that `mortal` starts: it forks a worker for each wish, and says how the worker ended.

A worker counts what it says to the payment provider (each HTTP request, the library's own second tries too) and to the
mail server (each write of the SMTP conversation). No place in the code is named: what is said tomorrow counts as well.
"""

import json
import os
import signal
import smtplib
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import requests.adapters
from django.conf import settings

from billing.gateways.stripe import StripeGateway
from billing.models import Invoice
from billing.payments import process_pending, start_payment
from consortium.kernel import jobs, mail
from consortium.kernel.tenancy import Scope, consortium_scope


class Fate:
    """Counts what is said to the outside world, and ends this process at its hour."""

    def __init__(self, side: str, n: int) -> None:
        self._hour, self._said = (side, n), 0

    def meets(self, say: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap what says something to the outside world."""

        def told(*arguments: Any, **named: Any) -> Any:
            self._said += 1
            turn = self._said
            self._strike("before", turn)
            answer = say(*arguments, **named)
            self._strike("after", turn)
            return answer

        return told

    def _strike(self, side: str, turn: int) -> None:
        if (side, turn) == self._hour:
            os.kill(os.getpid(), signal.SIGKILL)


def _pay(what: Mapping[str, str], at: datetime) -> None:
    with consortium_scope(Scope.COMMAND):
        invoice = Invoice.objects.get(pk=UUID(what["invoice"]))
    start_payment(invoice, return_url=what["return_url"], at=at)


ACTS: Mapping[str, Callable[[Mapping[str, str], datetime], object]] = {
    "pay": _pay,
    "hear": lambda _what, at: process_pending(at=at),
    "job": lambda what, _at: jobs.run(UUID(what["job"])),
    "mail": lambda _what, at: mail.send_due(at=at),
}


def live(wish: Mapping[str, Any]) -> None:
    """Do the act, if death does not come first."""
    if wish["kill"]:
        fate = Fate(*wish["kill"])
        provider, server = cast("Any", requests.adapters.HTTPAdapter), cast("Any", smtplib.SMTP)
        provider.send, server.send = fate.meets(provider.send), fate.meets(server.send)
    ACTS[wish["act"]](wish["what"], datetime.fromisoformat(wish["at"]))


def main() -> None:
    """Fork a worker for each line of the input; the answer is what waitpid says of it."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a worker logs is for people
    settings.MAILERS["default"] = {
        "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "OPTIONS": {"host": "127.0.0.1", "port": int(sys.argv[1]), "timeout": 20},
    }
    StripeGateway.from_settings()  # the library takes a second to load, once
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                live(json.loads(line))
            except BaseException:  # noqa: BLE001 - whatever it is, the test must see it
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        answers.write(f"{os.waitpid(child, 0)[1]}\n")
        answers.flush()
