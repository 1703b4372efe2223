"""Looks at a run again and again, until it is at its end."""

from __future__ import annotations

import time
from collections.abc import Callable

from hcs.client.dispatched import dispatch_said
from hcs.errors import WaitedTooLongError
from schemas.api import Run
from schemas.work import RunState

FIRST_LOOK, LONGEST_BETWEEN_LOOKS = 0.25, 5.0
GROWTH = 1.5

UNDER_WAY = frozenset({RunState.SUBMITTED, RunState.RUNNING})


def wait_for(
    look: Callable[[], Run], *, timeout: float | None = None, on_progress: Callable[[Run], None] | None = None
) -> Run:
    """Return the run as it is at its end, however it ended.

    Args:
        look: Asks for the run.
        timeout: Seconds to wait, at most; None waits as long as it takes.
        on_progress: Called with the run at every look, the last one included.

    Raises:
        WaitedTooLongError: If it is not at its end by then. The run goes on.
    """
    give_up = None if timeout is None else time.monotonic() + timeout
    pause = FIRST_LOOK
    while True:
        run = look()
        if on_progress is not None:
            on_progress(run)
        if run.state not in UNDER_WAY:
            return run
        left = LONGEST_BETWEEN_LOOKS if give_up is None else give_up - time.monotonic()
        if left <= 0:
            raise _too_long(run, timeout)
        time.sleep(min(pause, left))
        pause = min(pause * GROWTH, LONGEST_BETWEEN_LOOKS)


def _too_long(run: Run, timeout: float | None) -> WaitedTooLongError:
    where = _where(run)
    return WaitedTooLongError(
        f"{run.id} is expected to be at its end within {timeout:g} s, but it is {run.state.value}: {where}. It goes "
        "on; wait again."
    )


def _where(run: Run) -> str:
    done = f"{run.progress.sites_done} of {run.progress.sites} sites done"
    if run.dispatch is not None:
        return (
            f"{done}, and it {dispatch_said(run.dispatch)}" if run.progress.sites_done else dispatch_said(run.dispatch)
        )
    return "no dispatcher has taken it up; `hcs work` is one" if run.state is RunState.SUBMITTED else done
