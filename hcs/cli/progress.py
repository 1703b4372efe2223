"""How far a run is, as people want to see it: bars where somebody looks on, plain lines where a file does.

`hcs run` and `hcs status --watch` show the same, and both know it from the ledger alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from hcs.cli.output import counted
from schemas.work import RunState, UnitState

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from hcs.catalog import PlateProgress, RunStatus
    from hcs.catalog.progress import FailedAttempt
    from schemas.work import UnitOutcome, UnitSpec

SECONDS_BETWEEN_LOOKS = 0.9
"""A little under a second, so that who ticks once a second is not a moment too early every other time."""

SECONDS_BETWEEN_LINES = 10.0
SHARE_OF_TIME = 0.05
"""Looking takes no more of a driver's time than this, however large the run."""

MAX_FAILURES_TOLD = 10
"""Lines about failures at one look: where every unit fails for one reason, ten lines say so."""

LINES_AROUND_BARS = 4
"""The overall line, which may take two, the one about further plates, and the one that the shell writes next."""

FREE_COLUMNS = 4
"""Right of the bars: the terminal writes `^C` there, and a line that it had to break could not be drawn over."""


@dataclass
class RunProgress:
    """Shows how far a run is, while it is driven or watched. The end of a `with` leaves the terminal as it was.

    Attributes:
        read_status: Reads the ledger; called about once a second at most, and never before `start`.
        stream: Where to show it; stderr by default.
    """

    read_status: Callable[[], RunStatus]
    stream: TextIO | None = None
    _out: TextIO = field(init=False)
    _screen: _Screen | None = field(default=None, init=False)
    _shown: RunStatus | None = field(default=None, init=False)
    _failed: list[tuple[UnitSpec, UnitOutcome]] = field(default_factory=list, init=False)
    _next_look: float = field(default=0.0, init=False)
    _next_line: float = field(default=0.0, init=False)
    _last_line: str = field(default="", init=False)

    def __post_init__(self) -> None:
        """Take stderr as it is now, where no other stream is given."""
        self._out = self.stream or sys.stderr

    def __enter__(self) -> Self:
        """Choose between bars and lines; nothing is shown yet."""
        self._screen = _open_screen(self._out)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show how it ended, unless an exception is on its way, and free the terminal."""
        try:
            if kind is None and self._shown is not None:
                self._look()
                self._say_summary(self._shown)
        finally:
            if self._screen is not None:
                self._screen.close()

    def start(self) -> None:
        """Begin to read and to show: the run is in the catalog now."""
        if self._screen is not None:
            self._screen.open()
        self._look()

    def update(self, spec: UnitSpec, outcome: UnitOutcome) -> None:
        """Take note of a unit that came back here."""
        if outcome.receipt is None:
            self._failed.append((spec, outcome))
        elif spec.kind == "survey" and self._screen is None:
            self._say(f"{spec.plate}: surveyed {counted(outcome.receipt.n_sites, 'site')}")
        self.tick()

    def tick(self) -> None:
        """Look again, if the last look is about a second ago."""
        if self._shown is not None and time.monotonic() >= self._next_look:
            self._look()

    def _look(self) -> None:
        began = time.monotonic()
        status = self.read_status()
        took = time.monotonic() - began
        self._next_look = began + max(SECONDS_BETWEEN_LOOKS, took / SHARE_OF_TIME)
        for line in self._news(status):
            self._say(line)
        self._shown = status
        if self._screen is not None:
            self._screen.draw(status)
        elif time.monotonic() >= self._next_line and any(status.units.values()):
            self._say_summary(status)

    def _news(self, status: RunStatus) -> Iterator[str]:
        """Yield a line a thing that happened since the last look; bars show by themselves which plates are done."""
        before, failed = self._shown, self._failed
        self._failed = []
        known = set() if before is None else {(one.key, one.attempt) for one in before.failed_attempts}
        new = [one for one in status.failed_attempts if (one.key, one.attempt) not in known]
        told = {one.key for one in new}
        lines = [] if before is None else [_failure_line(one) for one in new]
        lines += [_outcome_line(spec, outcome) for spec, outcome in failed if spec.key not in told]
        yield from lines[:MAX_FAILURES_TOLD]
        if len(lines) > MAX_FAILURES_TOLD:
            yield f"and {len(lines) - MAX_FAILURES_TOLD} units more failed"
        if self._screen is None and before is not None:
            settled = {plate.plate for plate in before.plates if plate.is_settled}
            yield from (_plate_line(p) for p in status.plates if p.is_settled and p.plate not in settled)

    def _say_summary(self, status: RunStatus) -> None:
        line = summary(status)
        if self._screen is None and line != self._last_line:
            self._say(line)
            self._next_line = time.monotonic() + SECONDS_BETWEEN_LINES
            self._last_line = line

    def _say(self, text: str) -> None:
        if self._screen is not None:
            self._screen.say(one_line(text))
        else:
            self._out.write(one_line(text) + "\n")
            self._out.flush()


def summary(status: RunStatus) -> str:
    """Return the overall line, such as `units 5 of 18, 30 of 96 sites, 1.4 a second, 46 s left`."""
    return ", ".join(text for text, _ in _facts(status))


def lasting(seconds: float) -> str:
    """Return a time as people say it, such as `46 s`, `12 min`, `3 h 20 min` or `2 d 3 h`."""
    minutes = round(seconds / 60)
    hours = round(seconds / 3600)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def pace(sites_per_second: float) -> str:
    """Return a rate with one digit after the point, or more where it would be lost."""
    return f"{sites_per_second:.1f}" if sites_per_second >= 1 else f"{sites_per_second:.2g}"


def shortened(text: str, width: int) -> str:
    """Return a name in at most so many characters, without its middle where it is longer: both ends tell it apart."""
    kept = max(width - 3, 2)
    return text if len(text) <= width else f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"


def one_line(text: str) -> str:
    """Return a text in one line and without control characters, which could move a terminal's cursor."""
    return "".join(char if char.isprintable() else " " for char in text)


def is_settled(status: RunStatus) -> bool:
    """Return whether no unit is left to do, so that only the results are missing."""
    return bool(status.plates) and all(plate.is_settled for plate in status.plates)


def _facts(status: RunStatus) -> Iterator[tuple[str, str]]:
    """Yield the parts of the overall line, each with its style."""
    yield f"units {status.units[UnitState.DONE]} of {sum(status.units.values())}", ""
    yield f"{status.sites_done} of {status.sites} sites", ""
    failed = _failed(status.units[UnitState.FAILED] + status.units[UnitState.QUARANTINED], status.sites_failed)
    if failed:
        yield failed, "bold red"
    if status.sites_per_second:
        yield f"{pace(status.sites_per_second)} a second", ""
    if status.state is RunState.RUNNING and is_settled(status):
        yield "the results are being made", ""
    elif status.eta_seconds is not None:
        yield f"{lasting(status.eta_seconds)} left", ""
    if status.drivers > 1:
        yield f"{status.drivers} processes at work", ""
    if status.state not in (RunState.SUBMITTED, RunState.RUNNING):
        yield status.state.value.replace("_", " "), ""


def _failed(n_units: int, n_sites: int) -> str:
    parts = [counted(number, noun) for number, noun in ((n_units, "unit"), (n_sites, "site")) if number]
    return f"{' and '.join(parts)} failed" if parts else ""


def _plate_line(plate: PlateProgress) -> str:
    failed = f", {plate.sites_failed} failed" if plate.sites_failed else ""
    return f"{plate.plate}: {counted(plate.sites_done, 'site')} done{failed}"


def _failure_line(one: FailedAttempt) -> str:
    from hcs.catalog import MAX_ATTEMPTS

    what = "a survey" if one.kind == "survey" else "a unit"
    return f"{one.plate}: {what} failed (attempt {one.attempt} of {MAX_ATTEMPTS}): {one.reason}"


def _outcome_line(spec: UnitSpec, outcome: UnitOutcome) -> str:
    """Return what became of a unit that the ledger says nothing bad of, because it is done by now or did not count."""
    what = "a survey" if spec.kind == "survey" else "a unit"
    became = "failed" if outcome.was_started else "was not started"
    return f"{spec.plate}: {what} {became} and is tried again: {outcome.reason}"


def _open_screen(stream: TextIO) -> _Screen | None:
    """Return the terminal behind a stream, or None where there is none, or none that can move its cursor."""
    if not stream.isatty():
        return None
    from rich.console import Console

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    return None if console.is_dumb_terminal else _Screen(console)


@dataclass
class _Screen:
    """Bars at the lower end of a terminal; what else is said runs above them."""

    console: Console
    _live: Live | None = None

    def open(self) -> None:
        from rich.live import Live

        self._live = Live(
            console=self.console,
            auto_refresh=False,
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=sys.stderr.isatty(),
        )
        self._live.start()

    def draw(self, status: RunStatus) -> None:
        if self._live is not None:
            height, width = self.console.size.height, self.console.size.width
            self._live.update(drawing(status, width=width, height=height), refresh=True)

    def say(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()


def drawing(status: RunStatus, *, width: int, height: int) -> RenderableType:
    """Return the overall line and a bar a plate, as many as fit; the plates at work come first.

    Args:
        status: How far the run is.
        width: Columns of the terminal.
        height: Lines of the terminal.
    """
    from rich.console import Group
    from rich.text import Text

    overall = Text(f"{status.name}: ")
    for number, (text, style) in enumerate(_facts(status)):
        overall.append(", " if number else "").append(text, style=style)
    n_bars = max(height - LINES_AROUND_BARS, 1)
    shown = _most_telling(status.plates, n_bars)
    lines: list[RenderableType] = [overall, _bars(shown, width=width - FREE_COLUMNS)]
    if len(shown) < len(status.plates):
        names = {plate.plate for plate in shown}
        lines.append(Text(_more(status, [plate for plate in status.plates if plate.plate not in names])))
    return Group(*lines)


def _most_telling(plates: Sequence[PlateProgress], number: int) -> list[PlateProgress]:
    """Return the plates to show: all in their order if they fit, else those at work, then waiting, then done."""
    return list(plates) if len(plates) <= number else sorted(plates, key=_rank)[:number]


def _rank(plate: PlateProgress) -> int:
    if plate.is_settled:
        return 2
    return 0 if plate.units_leased or plate.sites_done or plate.sites_failed else 1


def _more(status: RunStatus, others: Sequence[PlateProgress]) -> str:
    ranks = [_rank(plate) for plate in others]
    words = {2: "done", 0: "begun", 1: "waiting"}
    parts = [f"{ranks.count(rank)} {word}" for rank, word in words.items() if rank in ranks]
    return f"and {counted(len(others), 'plate')} more: {', '.join(parts)}"


def _bars(plates: Sequence[PlateProgress], *, width: int) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.width = width
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    for plate in plates:
        told = Text(f"{plate.sites_done} of {plate.sites} sites")
        if plate.sites_failed:
            told.append(f", {plate.sites_failed} failed", style="bold red")
        name = Text(shortened(one_line(plate.plate), max(width // 3, 8)), no_wrap=True)
        grid.add_row(name, ProgressBar(total=max(plate.sites, 1), completed=plate.sites_done), told)
    return grid
