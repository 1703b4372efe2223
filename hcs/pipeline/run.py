"""One run from its SCREEN.yaml to its published results, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hcs.catalog import Catalog, Registration, RunRecord, get_run, retry, set_run_state
from hcs.errors import UsageError
from hcs.pipeline.coordinator import Coordinator, Progress, configuration_of, refuse_changed_inputs, register
from hcs.pipeline.finish import finish_run
from hcs.pipeline.submission import PreparedRun
from schemas.acceptance import Severity
from schemas.work import Executor, RunState


@dataclass(frozen=True)
class Performed:
    """How a run ended."""

    run: RunRecord
    was_finished: bool

    @property
    def has_holes(self) -> bool:
        """Whether something that was expected is not in the results."""
        return self.run.state is not RunState.COMPLETE


def perform_run(
    catalog: Catalog,
    prepared: PreparedRun,
    *,
    make_executor: Callable[[], Executor],
    on_start: Callable[[Registration], None],
    on_progress: Progress,
    new: bool = False,
    resume: str | None = None,
) -> Performed:
    """Register, perform and finish a run, or go on with the unfinished one of the same configuration.

    A run that ended with failed units is not finished for good: the same command tries them again.

    Args:
        catalog: Where everything is remembered.
        prepared: What the run is.
        make_executor: Called when there is work to do.
        on_start: Told which run it is, before the first unit.
        on_progress: Told of every unit that comes back.
        new: Start anew although the configuration has a run already.
        resume: A run's name; it must be of this configuration.

    Raises:
        UsageError: If `resume` names a run of another configuration.
        InputChangedError: If images changed under what the run has done.
    """
    if resume is not None:
        _check_resumed(catalog, prepared, resume, new=new)
    registration = register(catalog, prepared, new=new)
    on_start(registration)
    run = registration.run
    if run.is_finished:
        refuse_changed_inputs(catalog, run, prepared.plates)
        if not retry(catalog, run.id):
            return Performed(run=run, was_finished=True)
        run = get_run(catalog, run.id, finished=False)
    if run.state is not RunState.RUNNING:
        run = set_run_state(catalog, run.id, RunState.RUNNING)
    Coordinator(
        catalog=catalog, run=run, prepared=prepared, executor=make_executor(), on_progress=on_progress
    ).perform()
    finish_run(catalog, run, holes=known_holes(prepared))
    return Performed(run=get_run(catalog, run.id), was_finished=False)


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
    """
    asked = get_run(catalog, resume, finished=False)
    if new:
        raise UsageError(f"--resume {asked.name} goes on with a run and --new starts one; give one of the two")
    if asked.config_sha256 != configuration_of(prepared):
        raise UsageError(
            f"expected {asked.name} to be a run of this SCREEN.yaml, but its configuration differs: images, platemap, "
            "encoders or settings are not those of that run; leave out --resume to run what the file says"
        )
