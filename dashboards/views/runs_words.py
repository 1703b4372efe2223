"""How states, times and places of a run are said."""

from __future__ import annotations

from dashboards.words import NOTHING, counted, number, plain
from hcs.client.dispatched import dispatch_said
from schemas.acceptance import Severity, Verdict
from schemas.api import Progress, Run
from schemas.work import DispatchState, RunState, UnitState

_STATES = {
    RunState.SUBMITTED: "waiting",
    RunState.RUNNING: "running",
    RunState.COMPLETE: "complete",
    RunState.COMPLETE_WITH_HOLES: "complete, with holes",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "cancelled",
}
VERDICTS = {
    Verdict.ACCEPT: "accepted",
    Verdict.ACCEPT_WITH_HOLES: "accepted, with holes",
    Verdict.REJECT: "rejected",
}
SEVERITIES = {Severity.FATAL: "rejects the plate", Severity.HOLE: "leaves a hole", Severity.NOTE: "note"}
_MINUTE, _HOUR = 60, 3600


def state_named(state: RunState) -> str:
    """Return the state of a run in words."""
    return _STATES[state]


def lasting(seconds: float | None) -> str:
    """Return a time as people say it: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds is None:
        return NOTHING
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    hours, rest = divmod(round(seconds / _MINUTE), 60)
    return f"{hours:,} h {rest} min"


def pace(progress: Progress) -> str:
    """Return how far a run is in one line, with how fast it goes and how long it still takes, as far as that is known.

    Sites of units that were given up are neither done nor still to do.
    """
    parts = [f"{progress.sites_done:,} of {counted(progress.sites, 'site')}"]
    if progress.sites_failed:
        parts.append(f"{progress.sites_failed:,} failed")
    if progress.sites_per_second:
        parts.append(number(progress.sites_per_second, digits=2, unit="sites/s"))
    if progress.eta_seconds:
        parts.append(f"about {lasting(progress.eta_seconds)} left")
    return ", ".join(parts)


def share_done(progress: Progress) -> float:
    """Return the share of sites that nothing more is done about, in [0, 1]."""
    if not progress.sites:
        return 0.0
    return min((progress.sites_done + progress.sites_failed) / progress.sites, 1.0)


def units_given_up(progress: Progress) -> int:
    """Return how many units of work failed, so that they can be tried again."""
    return sum(progress.units.get(state.value, 0) for state in (UnitState.FAILED, UnitState.QUARANTINED))


def happening(run: Run) -> str:
    """Return what a run that is under way is doing, in a sentence of Markdown."""
    is_waiting = run.state is RunState.SUBMITTED
    if run.dispatch is not None and (is_waiting or run.dispatch.state is not DispatchState.WORKING):
        return f"On Kubernetes it {plain(dispatch_said(run.dispatch))}"
    if is_waiting:
        return "It waits for a dispatcher to take it up. `hcs dashboard` has one of its own; `hcs work` is one alone."
    return _under_work(run.progress)


def _under_work(progress: Progress) -> str:
    open_units = sum(progress.units.get(state.value, 0) for state in (UnitState.READY, UnitState.LEASED))
    if not progress.units:
        return "The deliveries are looked at, and the work is planned."
    if not open_units:
        return "Every site was looked at. Profiles and calls are being made of them."
    if not progress.drivers:
        return (
            "No dispatcher holds work of it at this moment. Where `hcs work` or `hcs dashboard` runs, one goes on soon."
        )
    if not progress.sites_done:
        return "Each plate is surveyed first: its illumination and its range of grey values, from a sample of sites."
    return "Images are read and embedded, a few wells at a time."
