"""How long an act may take in all, and the pauses between its tries: growing, with jitter, never past the end."""

import random
import time


class Patience:
    """A deadline that a whole act shares. The first pause is about `base_seconds`, each next one twice as long."""

    def __init__(self, seconds: float, *, base_seconds: float = 0.2, most_seconds: float = 5.0) -> None:
        self.seconds = seconds
        self._base, self._most = base_seconds, most_seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until the end; never below zero."""
        return max(self._end - time.monotonic(), 0.0)

    def pause(self, attempt: int, *, at_least: float = 0.0) -> bool:
        """Sleeps before the next try; false, at once, when the end would come before it."""
        # Jitter, so that the clients that one fault struck do not come back all at once.
        wanted = max(min(self._base * 2**attempt, self._most) * random.uniform(0.5, 1.5), at_least)  # noqa: S311
        if wanted >= self.left:
            return False
        time.sleep(wanted)
        return True
