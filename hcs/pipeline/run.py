"""One run from its SCREEN.yaml to its published results; its units are performed by any executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hcs.catalog import Catalog, Registration, RunRecord, get_run, retry, set_run_state
from hcs.errors import UsageError
from hcs.pipeline.coordinator import LEASE_SECONDS, Coordinator
from hcs.pipeline.finish import finish_run
from hcs.pipeline.registering import configuration_of, register
from hcs.pipeline.submission import PreparedRun
from hcs.pipeline.witnesses import refuse_changed_inputs
from schemas.acceptance import Severity
from schemas.work import Executor, RunState, UnitOutcome, UnitSpec


class Watcher(Protocol):
    """Somebody who looks on at a run."""

    def started(self, registration: Registration) -> None:
        """Be told which run it is, before its first unit."""
        ...

    def opening(self) -> None:
        """Be told that there is work, and that those who do it are made ready."""
        ...

    def came(self, spec: UnitSpec, outcome: UnitOutcome) -> None:
        """Be told of a unit that came back."""
        ...

    def tick(self) -> None:
        """Be called about once a second."""
        ...


class Silent:
    """A watcher that says nothing."""

    def started(self, registration: Registration) -> None:
        """Say nothing."""

    def opening(self) -> None:
        """Say nothing."""

    def came(self, spec: UnitSpec, outcome: UnitOutcome) -> None:
        """Say nothing."""

    def tick(self) -> None:
        """Say nothing."""


SILENT = Silent()


@dataclass(frozen=True)
class Performed:
    """How a run ended."""

    run: RunRecord
    was_finished: bool
    n_again: int = 0

    @property
    def has_holes(self) -> bool:
        """Whether something that was expected is not in the results."""
        return self.run.state is not RunState.COMPLETE


def perform_run(
    catalog: Catalog,
    prepared: PreparedRun,
    *,
    executor: Executor,
    watcher: Watcher = SILENT,
    new: bool = False,
    resume: str | None = None,
    retry_only: str | None = None,
    submitted: int | None = None,
    lease_seconds: float = LEASE_SECONDS,
) -> Performed:
    """Register, perform and finish a run, or go on with the unfinished one of the same configuration.

    A run that ended with failed units is not finished for good: the same command tries them again.

    Args:
        catalog: Where everything is remembered.
        prepared: What the run is.
        executor: Who performs the units; it is opened when there are any, and closed in any case.
        watcher: Told of what happens; by default nobody is.
        new: Start anew although the configuration has a run already.
        resume: A run's name; it must be of this configuration.
        retry_only: Part of the reason of failed units to try again, all of them if empty. None tries those of a run
            that ended.
        submitted: The number of a submitted run that the caller has claimed: it is this one that is performed, and
            only what is ready of it.
        lease_seconds: How long a unit may be at one step.

    Raises:
        UsageError: If `resume` names a run of another configuration.
        InputChangedError: If images changed under what the run has done.
        CancelledError: If the run is cancelled, or was before the look at its plates was over.
    """
    if resume is not None:
        _check_resumed(catalog, prepared, resume, new=new)
    registration = register(catalog, prepared, new=new, submitted=submitted)
    run = registration.run
    watcher.started(registration)
    n_again = 0
    if submitted is None:
        n_again = _try_again(catalog, run, prepared, only=retry_only)
        run = get_run(catalog, run.id, finished=False)
    if run.is_finished:
        return Performed(run=run, was_finished=True)
    if submitted is None and run.state is not RunState.RUNNING:  # a submitted one that is not was cancelled
        run = set_run_state(catalog, run.id, RunState.RUNNING)
    try:
        Coordinator(
            catalog=catalog,
            run=run,
            prepared=prepared,
            executor=executor,
            on_open=watcher.opening,
            on_progress=watcher.came,
            on_tick=watcher.tick,
            lease_seconds=lease_seconds,
        ).perform()
    finally:
        executor.close()
    finish_run(catalog, run, holes=known_holes(prepared))
    return Performed(run=get_run(catalog, run.id), was_finished=False, n_again=n_again)


def _try_again(catalog: Catalog, run: RunRecord, prepared: PreparedRun, *, only: str | None) -> int:
    """Return how many failed units are ready again: of a run that ended all of them, else those that are asked for."""
    if run.is_finished:
        refuse_changed_inputs(catalog, run, prepared.plates)
    return retry(catalog, run.id, only=only) if run.is_finished or only is not None else 0


def known_holes(prepared: PreparedRun) -> list[str]:
    """Return what is missing before anything runs: rejected plates, and what their reports call holes."""
    holes = [f"plate {plate.plate} was rejected and takes no part" for plate in prepared.rejected]
    for plate in prepared.examined:
        if plate.report is not None and plate.is_accepted:
            holes += [
                f"{plate.plate}: {item.kind} at {item.place} ({item.count}): {item.consequence}"
                for item in plate.report.findings
                if item.severity is Severity.HOLE
            ]
    return holes


def _check_resumed(catalog: Catalog, prepared: PreparedRun, resume: str, *, new: bool) -> None:
    """Refuse before anything is registered.

    Raises:
        UsageError: If the run is to be new too, or is one of another configuration.
        ConflictError: If it was submitted and nobody has looked at it.
    """
    asked = get_run(catalog, resume, finished=False)
    if new:
        raise UsageError(f"--resume {asked.name} goes on with a run and --new starts one; give one of the two")
    asked.known_pin()
    if asked.config_sha256 != configuration_of(prepared):
        raise UsageError(
            f"expected {asked.name} to be a run of what is there now, but its configuration differs: images, platemap, "
            "encoders, settings or the device are not those of that run; `hcs run SCREEN.yaml` runs what is there"
        )
