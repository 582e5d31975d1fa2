"""Tells the steps as they happen: a progress line each on stderr, times, and what went wrong in one sentence."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.measure import Measurement
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text


@dataclass
class Step:
    """One step: its name for programs, what it says to people, how long it took, where to look."""

    name: str
    title: str
    seconds: float = 0.0
    ok: bool = False
    link: str = ""
    detail: str = ""


@dataclass
class Narrator:
    """Collects the steps and shows them."""

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    steps: list[Step] = field(default_factory=list)
    _live: Live | None = None

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[Step]:
        """Show a running line for the step, then its result; errors go on to the caller."""
        step = Step(name, title)
        self.steps.append(step)
        started = time.monotonic()
        try:
            if self.console.is_terminal:
                with Live(self._line(step), console=self.console, transient=True, refresh_per_second=8) as self._live:
                    yield step
            else:
                self.console.print(f"… {title}")
                yield step
            step.ok = True
        finally:
            self._live = None
            step.seconds = time.monotonic() - started
            mark = "[green]✓[/]" if step.ok else "[red]✗[/]"
            self.console.print(f"{mark} {title} [dim]{step.seconds:5.1f} s  {step.detail}[/]")

    def say(self, detail: str) -> None:
        """Show what the current step is at."""
        step = self.steps[-1]
        if detail == step.detail:
            return
        step.detail = detail
        if self._live is not None:
            self._live.update(self._line(step))
        else:
            self.console.print(f"    {detail}", style="dim")

    @staticmethod
    def _line(step: Step) -> Spinner:
        return Spinner("dots", Text.assemble(step.title, ("  " + step.detail, "dim")))

    def table(self) -> None:
        """The closing table of steps."""
        table = Table(title="The main job", title_justify="left")
        table.add_column("Step")
        table.add_column("Seconds", justify="right")
        table.add_column("Look at")
        for step in self.steps:
            table.add_row(("✓ " if step.ok else "✗ ") + step.title, f"{step.seconds:.1f}", step.link)
        self.show(table)

    def show(self, table: Table) -> None:
        """Print a table whole, wider than the screen if need be: an address that is broken in two cannot be copied."""
        needed = Measurement.get(self.console, self.console.options.update(width=1_000), table).maximum
        Console(file=self.console.file, width=max(needed, self.console.width), highlight=False).print(table)
