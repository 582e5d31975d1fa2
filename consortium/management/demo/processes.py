"""What runs beside the demonstration, under one parent: simulator, DNS, hubs, worker, beat, sweeper, meter, web."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from consortium.embedded.supervisor import ManagedProcess

_BIN = Path(sys.executable).parent


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _manage(*words: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), *words]


def simulator(home: Path) -> list[ManagedProcess]:
    """The Stripe simulator, unless the environment names Stripe itself."""
    base = urlsplit(settings.STRIPE_API_BASE)
    if base.hostname != "127.0.0.1":
        return []
    command = [sys.executable, "-m", "consortium.embedded.stripe_simulator", "--port", str(base.port)]
    command += [
        "--state",
        str(home / "stripe" / "state.sqlite3"),
        "--webhook-url",
        f"{settings.PUBLIC_URL}/webhooks/stripe/",
    ]
    return [ManagedProcess(name="stripe", argv=command, cwd=settings.BASE_DIR)]


def name_server(home: Path) -> list[ManagedProcess]:
    """The demo's DNS, unless the environment names another one."""
    host, _, port = settings.DNS_RESOLVER.rpartition(":")
    if host != "127.0.0.1":
        return []
    command = [sys.executable, "-m", "consortium.embedded.dns_server", "--port", port]
    command += ["--zone", str(home / "dns" / "zone")]
    return [ManagedProcess(name="dns", argv=command, cwd=settings.BASE_DIR)]


def all_processes(home: Path, port: int) -> list[ManagedProcess]:
    """Everything the portal needs, in starting order."""
    celery = [str(_BIN / "celery"), "-A", "consortium.celery"]
    worker = [*celery, "worker", "-c", "2", "-l", "warning", "--without-mingle", "--without-gossip", "-n", "demo@%h"]
    beat = [*celery, "beat", "-l", "warning", "-s", str(home / "beat"), "--pidfile="]
    hubs = [sys.executable, "-m", "provisioning.gateways.local.supervisor", "--root", str(home / "hubs")]
    hubs += ["--hub-python", str(settings.HUB_PYTHON)]
    web = [str(_BIN / "gunicorn"), "consortium.wsgi", "-b", f"127.0.0.1:{port}", "-w", "1", "--threads", "8"]
    web += ["--log-level", "warning", "--worker-tmp-dir", str(home)]
    url = f"http://127.0.0.1:{port}/livez"
    here = settings.BASE_DIR
    return [
        *simulator(home),
        *name_server(home),
        ManagedProcess(name="web", argv=web, cwd=here, ready=lambda: _answers(url)),
        ManagedProcess(name="hubs", argv=hubs, cwd=here, grace=30),
        ManagedProcess(name="worker", argv=worker, cwd=here, grace=20),
        ManagedProcess(name="beat", argv=beat, cwd=here),
        ManagedProcess(name="sweeper", argv=_manage("sweeper"), cwd=here),
        ManagedProcess(name="meter", argv=_manage("meter"), cwd=here),
        ManagedProcess(name="prover", argv=_manage("prover"), cwd=here),
    ]
