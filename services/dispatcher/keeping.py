"""Keeps a claim while its run is performed, also through the minutes in which nothing comes back from anywhere."""

from __future__ import annotations

from threading import Event, Thread
from types import TracebackType
from typing import Self

import structlog

from hcs.catalog import Catalog, keep_claim
from hcs.errors import HcsError, LeaseLostError

log = structlog.get_logger(__name__)

CLAIM_SECONDS = 120.0
"""How long others wait for a dispatcher of another machine that is not heard of any more."""

LOOKS_A_CLAIM = 6
SECONDS_TO_STOP = 2.0


class KeptClaim:
    """A claim that a thread prolongs until the end of the `with`. What it does not keep is noticed by `check`."""

    def __init__(self, catalog: Catalog, run_id: int, owner: str, *, seconds: float = CLAIM_SECONDS) -> None:
        """Remember what to keep.

        Args:
            catalog: Where the run is.
            run_id: The run.
            owner: Who has claimed it.
            seconds: For how long it is claimed each time.
        """
        self._catalog, self._run_id, self._owner, self._seconds = catalog, run_id, owner, seconds
        self._has_moved = Event()
        self._is_lost = Event()
        self._is_over = Event()
        self._thread = Thread(target=self._keep, name="claim", daemon=True)

    def __enter__(self) -> Self:
        """Begin to keep it."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep it no longer. A thread that waits for a lost database is left behind: it changes nothing any more."""
        self._is_over.set()
        self._thread.join(SECONDS_TO_STOP)

    def moved(self) -> None:
        """Take note that work was finished: earlier attempts at the run count no more."""
        self._has_moved.set()

    def check(self) -> None:
        """Return if the run is still ours, as far as is known.

        Raises:
            LeaseLostError: If another dispatcher has it.
        """
        if self._is_lost.is_set():
            raise LeaseLostError(
                f"run-{self._run_id} was to be performed here, but the claim on it ran out and another dispatcher has "
                "it: it goes on there. Was this process stopped for a while, or the database out of reach?"
            )

    def _keep(self) -> None:
        while not self._is_over.wait(self._seconds / LOOKS_A_CLAIM):
            has_moved = self._has_moved.is_set()
            try:
                is_kept = keep_claim(
                    self._catalog, self._run_id, self._owner, seconds=self._seconds, has_moved=has_moved
                )
            except HcsError as error:  # the claim lasts some more looks
                log.warning("a claim could not be kept", run=f"run-{self._run_id}", reason=str(error))
                continue
            if not is_kept:
                self._is_lost.set()
                return
            if has_moved:
                self._has_moved.clear()
