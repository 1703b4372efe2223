"""What is said of a submitted run: whether a dispatcher is at it, and what takes it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hcs.client.dispatched import dispatch_said
from schemas.work import DispatchState, RunState

if TYPE_CHECKING:
    from hcs.catalog import RunStatus, SubmissionRecord


def dispatch_line(told: RunStatus, submission: SubmissionRecord | None) -> str | None:
    """Return who works on a submitted run, as a line; None for one that was not submitted, or has ended."""
    if submission is None or told.state not in (RunState.SUBMITTED, RunState.RUNNING):
        return None
    if told.dispatch is not None and not (submission.is_claimed and told.dispatch.state is DispatchState.ASKED):
        return dispatch_said(told.dispatch)
    if submission.is_claimed:
        return f"a dispatcher {'performs it' if told.plates else 'looks at its plates'}"
    again = ""
    if submission.attempts:
        again = f"; {submission.attempts} took it up before and did not come back"
    return f"it waits for a dispatcher: `hcs work`{again}"


def taken_up_by(submission: SubmissionRecord | None) -> str:
    """Return what takes up a run that was cancelled, as a line."""
    if submission is None:
        return "the `hcs run` that started it takes it up again"
    return "`hcs submit` of the same file makes a new run, which takes over what is done"
