"""The configuration of every local hub; all that differs stands in the JSON file that HUB_CONFIG names.

It runs in the hubs' own environment, so it imports JupyterHub and the standard library only. No secret is written here.
"""

import asyncio
import atexit
import gc
import hashlib
import hmac
import json
import os
import sys
from pathlib import Path

from jupyterhub.auth import Authenticator
from jupyterhub.spawner import SimpleLocalProcessSpawner
from traitlets import Unicode

c = get_config()  # noqa: F821 - JupyterHub gives it to the file that it loads
hub = json.loads(Path(os.environ["HUB_CONFIG"]).read_text(encoding="utf-8"))
run = Path(hub["run"])

# What a server must inherit so that whoever started the hubs can find it again, and end it.
MARKS = ("PORTAL_RUN", "PORTAL_HUB")


class AccountsAuthenticator(Authenticator):
    """Checks a name and a password against the accounts file; a new account counts without a restart."""

    accounts_file = Unicode(config=True, help="JSON of name to salt and scrypt hash, readable by the hub alone")

    async def authenticate(self, handler, data):  # noqa: ARG002 - the signature is JupyterHub's
        name = self.normalize_username(data["username"])
        return name if await asyncio.to_thread(self._is_right, name, data["password"]) else None

    def _is_right(self, name: str, password: str) -> bool:
        accounts = json.loads(Path(self.accounts_file).read_text(encoding="utf-8"))
        # An unknown name costs the same time as a known one.
        account = accounts.get(name, {"salt": "00", "hash": ""})
        found = hashlib.scrypt(password.encode(), salt=bytes.fromhex(account["salt"]), n=2**14, r=8, p=1).hex()
        return hmac.compare_digest(found, account["hash"])


class MarkedProcessSpawner(SimpleLocalProcessSpawner):
    """A local process that is told from a stranger's by this hub's mark.

    After a restart JupyterHub knows its servers by their number alone, which by then may be another's, or a zombie's.
    """

    async def _signal(self, sig):
        return await super()._signal(sig) if self._is_alive_and_ours() else False

    def _is_alive_and_ours(self) -> bool:
        process = Path("/proc") / str(self.pid)
        try:
            zombie = process.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z"
            marks = process.joinpath("environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return not zombie and f"PORTAL_HUB={os.environ['PORTAL_HUB']}".encode() in marks


# A process that ends need not collect its garbage, which took seconds.
atexit.register(gc.freeze)

c.JupyterHub.bind_url = hub["public_url"]
c.JupyterHub.hub_bind_url = hub["hub_url"]
c.JupyterHub.db_url = f"sqlite:///{run}/jupyterhub.sqlite"
c.JupyterHub.upgrade_db = True
c.JupyterHub.cookie_secret = bytes.fromhex(hub["cookie_secret"])
c.JupyterHub.init_spawners_timeout = 10
c.JupyterHub.concurrent_spawn_limit = 10
c.JupyterHub.active_server_limit = hub["max_servers"]
c.JupyterHub.allow_named_servers = hub["named_servers_per_user"] > 0
c.JupyterHub.named_server_limit_per_user = hub["named_servers_per_user"]
c.JupyterHub.activity_resolution = 5
c.JupyterHub.last_activity_interval = 30

# The supervisor owns the proxy, and ends the servers when the hub is to end: so a hub that is restarted, or killed,
# finds its people still at work.
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = hub["proxy_api_url"]
c.ConfigurableHTTPProxy.auth_token = hub["proxy_token"]

c.JupyterHub.spawner_class = MarkedProcessSpawner
c.SimpleLocalProcessSpawner.home_dir_template = f"{run}/home/{{username}}"
# -P: the folder of that file holds modules of the portal, which are none of the server's.
c.Spawner.cmd = [sys.executable, "-P", str(Path(__file__).with_name("single_user.py"))]
c.Spawner.environment = {mark: os.environ[mark] for mark in MARKS if mark in os.environ}
c.Spawner.default_url = hub["default_url"]
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 120
c.Spawner.poll_interval = 5
c.LocalProcessSpawner.interrupt_timeout = 10
c.LocalProcessSpawner.term_timeout = 5
# Advisory for plain processes: the server shows them, nothing holds it to them.
c.Spawner.mem_guarantee = f"{hub['size']['memory_guarantee_mib']}M"
c.Spawner.mem_limit = f"{hub['size']['memory_limit_mib']}M"
c.Spawner.cpu_guarantee = hub["size"]["cpu_guarantee_millis"] / 1000
c.Spawner.cpu_limit = hub["size"]["cpu_limit_millis"] / 1000
# Looking for language servers asks npm, if the machine has it: seconds of every start, for nothing that is installed.
c.Spawner.args = ["--LanguageServerManager.autodetect=False"]
if hub["cull"]["enabled"]:
    # Servers end themselves when idle; there is no culling service beside a local hub.
    idle, every = hub["cull"]["timeout_seconds"], hub["cull"]["every_seconds"]
    c.Spawner.args += [
        f"--ServerApp.shutdown_no_activity_timeout={idle}",
        f"--MappingKernelManager.cull_idle_timeout={idle}",
        f"--MappingKernelManager.cull_interval={every}",
        "--MappingKernelManager.cull_connected=True",
    ]

# No path out of the homes' folder can be made of a name.
c.Authenticator.username_pattern = r"^[a-z0-9][a-z0-9._@+-]{0,63}\Z"
for name, traits in hub["authenticator"].items():
    for trait, value in traits.items():
        setattr(c[name], trait, value)
if hub["accounts_file"]:
    c.JupyterHub.authenticator_class = AccountsAuthenticator
    c.AccountsAuthenticator.accounts_file = hub["accounts_file"]

c.JupyterHub.services = [{"name": name, "api_token": token} for name, token in hub["service_tokens"].items()]
c.JupyterHub.load_roles = hub["roles"]
