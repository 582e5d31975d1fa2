"""Reads the environment once, with types, and names every value that is missing or wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from environs import Env, EnvError


class ConfigurationError(Exception):
    """One or more environment values are missing or wrong; the message lists each with its remedy."""


class Configuration:
    """Collects problems while values are read, so that a person sees all of them at once."""

    def __init__(self) -> None:
        self._env = Env()
        self._problems: list[str] = []

    def read[T](self, kind: Callable[[str], T], name: str, *, default: T | None = None, why: str) -> T:
        """Return the value of `name` as `kind` would parse it; note a problem (and go on) when it cannot."""
        raw = self._env.str(name, default="")
        if raw == "":
            if default is None:
                self._problems.append(f"{name} is not set: {why}.")
                return self._placeholder(kind)  # type: ignore[no-any-return] # never used
            return default
        try:
            return kind(raw)
        except (ValueError, EnvError) as error:
            # A secret that is mistyped is still a secret.
            shown = "set" if any(word in name for word in ("KEY", "SECRET", "SALT", "URL")) else repr(raw)
            self._problems.append(f"{name} is {shown}, but not valid ({error}): {why}.")
            return default if default is not None else self._placeholder(kind)

    def finish(self) -> None:
        """Raise ConfigurationError when any value was missing or wrong."""
        if self._problems:
            raise ConfigurationError(
                "The configuration is incomplete. Set these in the environment, or use ./portal, "
                "which makes them for a home:\n  " + "\n  ".join(self._problems)
            )

    @staticmethod
    def _placeholder(kind: Callable[[str], Any]) -> Any:
        # The value is never used: finish() raises before the settings are complete.
        return {str: "", int: 0, Path: Path()}.get(kind)  # type: ignore[call-overload]


def truth(text: str) -> bool:
    """Parse yes/no words; ValueError for anything else."""
    word = text.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError("say true or false")


def words(text: str) -> list[str]:
    """Parse a comma separated list, dropping blanks."""
    return [word.strip() for word in text.split(",") if word.strip()]


def positive(text: str) -> int:
    """Parse a whole number above zero."""
    number = int(text)
    if number < 1:
        raise ValueError("a whole number above zero")
    return number


def postgres(text: str) -> dict[str, Any]:
    """Turn postgresql://role:password@host:port/database into Django's dictionary; ValueError when it is none."""
    url = urlsplit(text)
    if url.scheme not in {"postgres", "postgresql"} or not url.hostname or not url.path.strip("/"):
        raise ValueError("expected postgresql://role:password@host:port/database")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(url.path.lstrip("/")),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": url.hostname,
        "PORT": str(url.port or 5432),
    }


def origin(text: str) -> str:
    """Parse an http(s) origin such as https://portal.example.org, without a trailing slash."""
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("expected http(s)://host[:port]")
    return f"{url.scheme}://{url.netloc}"
