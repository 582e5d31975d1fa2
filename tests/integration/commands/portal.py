"""Our commands as programs call them: ./portal's launcher in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consortium.embedded.home import ROOT


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The one document of stdout; anything beside it fails."""
        return json.loads(self.stdout)


def manage(*arguments: str, cwd: Path, **environment: str) -> Answer:
    """Run `./portal manage …` as if from `cwd`; variables of the environment may be added, or emptied."""
    variables = {**os.environ, "PORTAL_CWD": str(cwd), **environment}
    done = subprocess.run(
        [sys.executable, "-m", "consortium.embedded.launcher", "manage", *arguments],
        cwd=ROOT,
        env={name: value for name, value in variables.items() if value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)
