"""What is to be done now, from what is there: no clock, no database and no cluster are asked here.

It goes by what is, and not by what happened: a dispatcher that missed everything, or is one of two, decides the same.
RayJobs have to be looked at first, then dispatches, then runs. As a dispatch is written down before its RayJob is made,
a RayJob without one belongs to nobody; as a run is there before its dispatch, a dispatch without an open run is over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hcs.catalog import Dispatch, OpenRun
from schemas.work import DispatchState
from services.dispatcher.k8s.seen import SeenRayJob


@dataclass(frozen=True)
class Patience:
    """How long what is waited for.

    Attributes:
        pause_seconds: Between the end of a dispatch and the next; twice as long after each that came to nothing.
        max_fruitless: How many dispatches in a row may come to nothing before the run fails.
        seconds_to_end: How long a driver may take to notice that its run has ended.
    """

    pause_seconds: float = 10.0
    max_fruitless: int = 3
    seconds_to_end: float = 120.0

    def pause(self, fruitless: int) -> float:
        """Return how long to wait after dispatches in a row that came to nothing."""
        return float(self.pause_seconds * 2 ** max(0, fruitless - 1))


@dataclass(frozen=True)
class Begin:
    """A dispatch of this run is written down, and its RayJob made."""

    run: OpenRun


@dataclass(frozen=True)
class Create:
    """The RayJob of a dispatch is made: it was never seen, though it may have been made before."""

    run: OpenRun
    dispatch: Dispatch


@dataclass(frozen=True)
class Note:
    """How far a dispatch is, is kept for those who wait."""

    dispatch: Dispatch
    state: DispatchState
    words: str


@dataclass(frozen=True)
class End:
    """A dispatch is over."""

    dispatch: Dispatch
    words: str


@dataclass(frozen=True)
class Missing:
    """A RayJob that was there is there no more, as far as was seen: the API is asked before the dispatch ends."""

    dispatch: Dispatch


@dataclass(frozen=True)
class Delete:
    """A RayJob is deleted."""

    rayjob: SeenRayJob
    why: str


@dataclass(frozen=True)
class GiveUp:
    """The run fails: dispatches came to nothing, one after another."""

    run: OpenRun
    reason: str


Action = Begin | Create | Note | End | Missing | Delete | GiveUp


@dataclass(frozen=True)
class Sight:
    """What was seen at one time, in the order of the module's docstring.

    Attributes:
        rayjobs: Those of the catalog; None where the cluster does not tell.
        going_on: Dispatches that have not ended.
        ended: Those that have, as far as a RayJob is left of them.
        runs: Runs that are open.
        now: Seconds by the database's clock.
        trouble: Why the cluster does not tell.
    """

    rayjobs: Sequence[SeenRayJob] | None
    going_on: Sequence[Dispatch]
    ended: Sequence[Dispatch]
    runs: Sequence[OpenRun]
    now: float
    trouble: str = ""


@dataclass(frozen=True)
class Decision:
    """What is to be done, and since when runs are known to have ended while their RayJob lives, for the next time."""

    actions: Sequence[Action]
    over_since: Mapping[str, float] = field(default_factory=dict)


def decide(sight: Sight, *, over_since: Mapping[str, float], patience: Patience) -> Decision:
    """Return what is to be done.

    Args:
        sight: What is there.
        over_since: What the last decision said.
        patience: How long what is waited for.
    """
    going_on = {dispatch.name: dispatch for dispatch in sight.going_on}
    if sight.rayjobs is None:
        return Decision(tuple(_blind(sight, patience)), over_since)
    rayjobs = {rayjob.name: rayjob for rayjob in sight.rayjobs}
    runs = {run.run.id: run for run in sight.runs}
    over = {
        name: over_since.get(name, sight.now)
        for name, dispatch in going_on.items()
        if name in rayjobs and dispatch.run_id not in runs
    }
    followed = [
        action
        for name, dispatch in going_on.items()
        for action in _follow(
            dispatch,
            rayjobs.get(name),
            runs.get(dispatch.run_id),
            is_overdue=name in over and sight.now - over[name] >= patience.seconds_to_end,
        )
    ]
    left = [rayjob for name, rayjob in rayjobs.items() if name not in going_on]
    cleared = [action for rayjob in left for action in _clear(rayjob, sight)]
    return Decision((*followed, *cleared, *_start(sight, patience, still_there=left)), over)


def _follow(
    dispatch: Dispatch, rayjob: SeenRayJob | None, run: OpenRun | None, *, is_overdue: bool
) -> Iterator[Action]:
    """Yield what becomes of a dispatch that has not ended."""
    if rayjob is None:
        if run is None:
            yield End(dispatch, "its run has ended, and its RayJob is gone")
        elif dispatch.state is DispatchState.ASKED:
            yield Create(run, dispatch)
        else:
            yield Missing(dispatch)
    elif rayjob.has_ended:
        yield End(
            dispatch, rayjob.meaning.words if run is None else f"{rayjob.meaning.words}; its run is not at its end"
        )
    elif run is None and is_overdue and not rayjob.is_leaving:
        yield Delete(rayjob, "its run has ended")
    else:
        yield Note(dispatch, rayjob.meaning.state, rayjob.meaning.words)


def _clear(rayjob: SeenRayJob, sight: Sight) -> Iterator[Action]:
    """Yield whether a RayJob of no dispatch that goes on is deleted."""
    of_name = [dispatch for dispatch in sight.ended if dispatch.name == rayjob.name]
    if rayjob.is_leaving:
        return
    if not of_name:
        yield Delete(rayjob, "no dispatch of the catalog has its name: its run was deleted")
        return
    (dispatch,) = of_name
    if not rayjob.has_ended:
        yield Delete(rayjob, "its dispatch has ended")
    elif dispatch.attempt < _newest(sight).get(dispatch.run_id, 0):
        yield Delete(rayjob, "it has ended, and another one came after it")
    elif dispatch.ended_at is not None and sight.now >= dispatch.ended_at + rayjob.keep_seconds:
        yield Delete(rayjob, "it has ended, and was kept for as long as its template says")


def _newest(sight: Sight) -> Mapping[int, int]:
    """Return the newest attempt of each run."""
    newest: dict[int, int] = defaultdict(int)
    for dispatch in (*sight.going_on, *sight.ended):
        newest[dispatch.run_id] = max(newest[dispatch.run_id], dispatch.attempt)
    return newest


def _start(sight: Sight, patience: Patience, *, still_there: Sequence[SeenRayJob]) -> Iterator[Action]:
    """Yield the runs that get their first or next dispatch, and those that are given up."""
    busy = {dispatch.run_id for dispatch in sight.going_on}
    alive = {rayjob.run for rayjob in still_there if not rayjob.has_ended}
    for run in sight.runs:
        last = run.last
        if run.is_claimed or run.run.id in busy or str(run.run.id) in alive or (last and not last.has_ended):
            continue
        if run.fruitless >= patience.max_fruitless:
            yield GiveUp(run, _reason(run))
        elif last is None or last.ended_at is None or sight.now >= last.ended_at + patience.pause(run.fruitless):
            yield Begin(run)


def _blind(sight: Sight, patience: Patience) -> Iterator[Action]:
    """Yield what can be done while the cluster does not tell: runs say why they wait."""
    runs = {run.run.id for run in sight.runs}
    for dispatch in sight.going_on:
        if dispatch.run_id in runs:
            yield Note(dispatch, dispatch.state, sight.trouble)
    yield from _start(sight, patience, still_there=())


def _reason(run: OpenRun) -> str:
    last = run.last.message if run.last and run.last.message else "it said nothing"
    return (
        f"given up: {run.fruitless} RayJobs one after another ended without progress. Of the last one: {last}. Correct "
        f"that, look at the logs of its pods, and ask for the run again with `hcs retry {run.run.name}`"
    )
