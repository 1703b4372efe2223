"""How a run shows that it moves: a bar where a person looks on, plain lines where a file does."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hcs.cli.output import say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from schemas.work import UnitOutcome, UnitSpec

SECONDS_BETWEEN_LINES = 10.0


@dataclass
class RunProgress:
    """Counts sites as units come back. Totals are sites of the whole run; what was done before is told at the start."""

    n_sites: int
    n_done: int = 0
    _started: float = field(default_factory=time.monotonic)
    _first: int = 0
    _said: float = 0.0
    _bar: Progress | None = None
    _task: TaskID | None = None

    def __enter__(self) -> Self:
        """Start the bar, if stderr is a terminal."""
        self._first = self.n_done
        if sys.stderr.isatty():
            self._bar, self._task = _make_bar(self.n_sites, self.n_done)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the bar."""
        if self._bar is not None:
            self._bar.stop()

    def update(self, spec: UnitSpec, outcome: UnitOutcome) -> None:
        """Count a unit that came back; a survey counts no sites, since its sites are embedded later."""
        if outcome.receipt is None:
            say(f"{spec.plate}: a {spec.kind} unit failed: {outcome.reason}")
        elif spec.kind == "survey":
            say(f"{spec.plate}: surveyed {outcome.receipt.n_sites} sites")
        else:
            self.n_done += outcome.receipt.n_sites
            self._show()

    def _show(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.n_done)
            return
        now = time.monotonic()
        if now - self._said < SECONDS_BETWEEN_LINES and self.n_done < self.n_sites:
            return
        self._said = now
        rate = (self.n_done - self._first) / max(now - self._started, 1e-9)
        left = (self.n_sites - self.n_done) / rate if rate else float("nan")
        say(f"{self.n_done} of {self.n_sites} sites, {rate:.1f} a second, {left:.0f} s left")


def _make_bar(total: int, done: int) -> tuple[Progress, TaskID]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("sites"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True)
    )
    return bar, bar.add_task("sites", total=total, completed=done)
