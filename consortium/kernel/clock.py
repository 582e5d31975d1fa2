"""The one place where edges read the clock."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present instant in UTC. Only edges call this; the domain takes `at`."""
    return datetime.now(UTC)
