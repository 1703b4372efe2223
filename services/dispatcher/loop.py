"""Looks for submitted runs, and performs one after another; or waits for one run, and performs that."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hcs.catalog import (
    OPEN,
    Catalog,
    Claim,
    RunRecord,
    claim_run,
    get_run,
    is_run_waiting,
    owner_of_this_process,
    run_state,
)
from hcs.errors import NotFoundError, StorageError
from hcs.pipeline.interrupts import Request
from schemas.work import RunState
from services.dispatcher.keeping import CLAIM_SECONDS
from services.dispatcher.performing import Became, Ended, Say

IDLE_SECONDS = 1.0
SECONDS_ASIDE = 60.0
"""How long a run that was handed back is left to other dispatchers."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 60.0

BECAME = {
    RunState.COMPLETE: Became.COMPLETE,
    RunState.COMPLETE_WITH_HOLES: Became.WITH_HOLES,
    RunState.FAILED: Became.FAILED,
    RunState.CANCELLED: Became.CANCELLED,
}

EXIT_CODES = {Became.FAILED: 1, Became.HANDED_BACK: 1, Became.WITH_HOLES: 3}

Perform = Callable[[Claim, str], Ended]


@dataclass
class Dispatcher:
    """One process that performs submitted runs, one at a time.

    Attributes:
        catalog: Where they are submitted.
        perform: Performs a claimed run in the name of an owner.
        say: Told what a person may want to know.
        report: Told how each run ended.
        request: Whether somebody asked to end.
        claim_seconds: For how long a run is claimed at first.
        owner: The name that claims carry.
    """

    catalog: Catalog
    perform: Perform
    say: Say
    report: Callable[[Ended], None]
    request: Request = field(default_factory=Request)
    claim_seconds: float = CLAIM_SECONDS
    owner: str = field(default_factory=owner_of_this_process)
    _aside: dict[int, float] = field(default_factory=dict)

    def work_off(self) -> int:
        """Perform what is submitted until nothing is left, and return the exit code.

        It is 0, 3 if a run ended with holes, and 1 if one failed, or was handed back for what is no run's fault:
        then the others are left as they are.

        Raises:
            StorageError: If the catalog cannot be read or written.
        """
        codes: set[int] = set()
        while (claim := self._claim()) is not None:
            ended = self._performed(claim)
            codes.add(EXIT_CODES.get(ended.became, 0))
            if ended.became is Became.HANDED_BACK:
                break
        if not codes:
            self.say(f"no run waits in {self.catalog.location}; `hcs submit SCREEN.yaml` submits one")
        return 1 if 1 in codes else max(codes, default=0)

    def work(self) -> None:
        """Perform what is submitted, and wait for more, until somebody interrupts."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                claim = self._claim()
                ended = None if claim is None else self._performed(claim)
            except StorageError as error:
                self.say(f"the catalog cannot be used: {error}")
                pause = self._wait(pause)
                continue
            if ended is not None and ended.became is Became.HANDED_BACK:
                self.say(f"what stopped {ended.name} is no fault of the run: it waits, and is taken up again later")
                pause = self._wait(pause)
                continue
            pause = FIRST_PAUSE_SECONDS
            if ended is None:
                _idle()

    def see_to(self, run: RunRecord) -> int:
        """Perform one run, or wait until others have, and return the exit code.

        It is 0 once the run has ended, however it ended, or is deleted, and 1 if it was handed back, or lost to others
        who go on with it. A run that somebody has claimed is taken up where the claim runs out.

        Raises:
            StorageError: If the catalog cannot be read or written.
        """
        is_awaited = False
        while (claim := self._claim(only=run.id)) is None:
            state = _state_of(self.catalog, run)
            if state is None:
                self.say(f"{run.name} was deleted meanwhile: there is nothing to perform")
                return 0
            if state not in OPEN:
                self.report(self._ended_elsewhere(run.id))
                return 0
            if not is_awaited:
                self.say(f"{run.name} is claimed by another dispatcher: waiting until that ends, or is not heard of")
                is_awaited = True
            _idle()
        self._performed(claim)
        return self.code_of(run)

    def code_of(self, run: RunRecord) -> int:
        """Return the exit code of who was to see to a run: 1 while that is open, as another may have asked for it."""
        return 1 if _state_of(self.catalog, run) in OPEN else 0

    def _ended_elsewhere(self, run_id: int) -> Ended:
        run = get_run(self.catalog, run_id, finished=False)
        why = "; ".join(run.notes) if run.state is RunState.FAILED else ""
        return Ended(run.name, BECAME[run.state], why)

    def _claim(self, *, only: int | None = None) -> Claim | None:
        """Return a run that waits. Nothing is written while there is none, and nobody has to wait for this."""
        now = time.monotonic()
        self._aside = {run_id: until for run_id, until in self._aside.items() if until > now}
        if not is_run_waiting(self.catalog, besides=self._aside, only=only):
            return None
        return claim_run(self.catalog, self.owner, seconds=self.claim_seconds, besides=self._aside, only=only)

    def _performed(self, claim: Claim) -> Ended:
        again = f", attempt {claim.attempt}" if claim.attempt > 1 else ""
        asked = f", to retry what failed with {claim.retry_only!r}" if claim.retry_only else ""
        self.say(f"{claim.run.name} of screen {claim.run.screen} is taken up{again}{asked}")
        ended = self.perform(claim, self.owner)
        self.report(ended)
        if self.request.has_come:
            raise KeyboardInterrupt
        if ended.became is Became.HANDED_BACK:
            self._aside[claim.run.id] = time.monotonic() + SECONDS_ASIDE
        return ended

    def _wait(self, pause: float) -> float:
        """Wait, and return how long to wait the next time in a row."""
        self.say(f"the next look is in {pause:.0f} s")
        time.sleep(pause)
        return min(2 * pause, LONGEST_PAUSE_SECONDS)


def _idle() -> None:
    time.sleep(IDLE_SECONDS * random.uniform(0.75, 1.25))  # noqa: S311 - keeps many from asking as one


def _state_of(catalog: Catalog, run: RunRecord) -> RunState | None:
    """Return the state of a run; None if it was deleted."""
    try:
        return run_state(catalog, run.id)
    except NotFoundError:
        return None
