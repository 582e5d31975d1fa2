"""The verbs of ./portal and their explanation. Standard library only: `./portal help` works before any set-up."""

from __future__ import annotations

import sys

VERBS = {
    "demo": (
        "run the main job in front of your eyes, then serve the portal on http://127.0.0.1:8000",
        """--once ends after the job; --json prints its result as the last line of stdout; --port N (0: any free one);
--bill FILE imports your FOCUS 1.0 bill; --hold NAME keeps one process down (for tests).""",
    ),
    "test": (
        "run the tests against real PostgreSQL and Valkey, without the network",
        "What follows goes to pytest, for example: ./portal test tests/unit -x",
    ),
    "check": (
        "say what does not meet the house's standards: style, types, layers, templates, migrations, diagrams",
        "",
    ),
    "fix": ("mend by machine what a machine can mend: imports, small faults, layout of the code", ""),
    "bench": ("measure; what follows goes to the benchmarks", ""),
    "docs": ("write the generated pages of the book again (state diagrams)", ""),
    "lock": ("resolve the dependencies again and write requirements/*.txt with versions and hashes", ""),
    "manage": (
        "run one of Django's commands with the servers of the home",
        "For example: ./portal manage migrate; ./portal manage verify_audit. Migrations run as the tables' owner.",
    ),
    "help": ("this page", ""),
}

ENVIRONMENT = """\
Environment:
  PORTAL_HOME          the folder of all state (default: var/), the same as --home DIR before or after the verb
  DATABASE_URL         use this PostgreSQL (18 or newer) in place of the bundled one; alone, its role must be able to
                       create roles and databases
  DATABASE_OWNER_URL   with it, DATABASE_URL is taken as it is (role portal_app), and this one (portal_owner) migrates
  REDIS_URL            use this Redis or Valkey in place of the bundled one
  STRIPE_API_KEY       use Stripe in place of the simulator (with STRIPE_WEBHOOK_SECRET)
"""


def help_text() -> str:
    """The page that `./portal help` prints."""
    lines = ["Usage: ./portal [--home DIR] VERB [ARGUMENTS]", ""]
    for verb, (summary, details) in VERBS.items():
        lines.append(f"  {verb:<8}{summary}")
        lines.extend(f"          {line}" for line in details.splitlines())
    return "\n".join([*lines, "", ENVIRONMENT])


if __name__ == "__main__":
    sys.stdout.write(help_text())
