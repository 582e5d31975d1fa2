"""`python -m consortium.embedded.stripe_simulator`: runs until SIGTERM or Ctrl-C.

The two secrets may also come from the environment (STRIPE_API_KEY, STRIPE_WEBHOOK_SECRET), so that they need not stand
in a command line that every user of the machine can read.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from consortium.embedded.ports import PortBusyError
from consortium.embedded.stripe_simulator.server import Simulator
from consortium.embedded.stripe_simulator.settings import Settings


def main() -> int:
    """Serves; 2 for a wrong call, 1 when the port is taken."""
    parser = argparse.ArgumentParser(prog="stripe_simulator", allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True, help="0 takes any free port")
    parser.add_argument("--state", type=Path, required=True, help="the SQLite file")
    parser.add_argument("--webhook-url", default="", help="where events are posted")
    parser.add_argument("--webhook-secret", default=os.environ.get("STRIPE_WEBHOOK_SECRET", ""))
    parser.add_argument("--api-key", default=os.environ.get("STRIPE_API_KEY", ""))
    options = parser.parse_args()
    if not options.api_key or not options.webhook_secret:
        parser.error("give --api-key and --webhook-secret, or STRIPE_API_KEY and STRIPE_WEBHOOK_SECRET")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        simulator = Simulator(Settings(**vars(options)))
    except OSError:
        sys.stderr.write(f"{PortBusyError(options.port)}\n")
        return 1
    serving = threading.Thread(target=simulator.serve, name="http")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    serving.start()
    sys.stderr.write(f"Stripe simulator on {simulator.url}\n")
    ended.wait()
    simulator.stop()
    serving.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
