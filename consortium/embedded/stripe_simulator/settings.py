"""What the simulator's command line says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says."""

    port: int
    state: Path
    webhook_url: str
    webhook_secret: str
    api_key: str
    merchant: str = "Interactive Computing Consortium"
