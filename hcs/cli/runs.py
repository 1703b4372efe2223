"""`hcs runs`, `hcs runs delete`, `hcs status`, `hcs cancel`: what the catalog knows of runs, from any terminal."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from hcs.cli.options import CatalogOption, FormatOption, OutputOption, PartsOption, open_existing
from hcs.cli.output import Format, counted, print_object, print_table, put, say
from hcs.cli.progress import RunProgress, is_settled, lasting, one_line, pace
from hcs.cli.waiting import dispatch_line, taken_up_by
from hcs.errors import UsageError
from schemas.work import RunState, UnitState

if TYPE_CHECKING:
    from hcs.catalog import Catalog, Dispatch, RunStatus

INTERRUPTED = 130
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_BREAKING_LEASES = 10.0
PATIENCE_SECONDS = 10.0
"""How long units may wait for somebody before a watcher says that nobody works on the run."""

PATIENCE_WITH_RESULTS_SECONDS = 1800.0
"""The same where all units are done: who makes the results of a large screen holds no unit meanwhile."""

UNDER_WAY = (RunState.SUBMITTED, RunState.RUNNING)
COLUMNS = ("plate", "units", "units_done", "units_failed", "sites", "sites_done", "sites_failed")
"""What a person wants to know of a plate; scripts get all there is."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(runs)
    group.command()(delete)
    app.add_typer(group, name="runs")
    app.command()(status)
    app.command()(cancel)


def runs(
    context: typer.Context,
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """List the runs of the catalog, newest last.

    Example: hcs runs --format json
    """
    from hcs.catalog import list_runs

    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    with open_existing(catalog, parts) as store:
        print_table(list_runs(store), form=form, output=output)


def delete(
    run: Annotated[str, typer.Argument(help="A run's name, such as run-3.")],
    catalog: CatalogOption = None,
    parts: PartsOption = None,
) -> None:
    """Delete a run, and the files that no other run took over from it. It cannot be undone, and nothing is asked.

    A run that somebody works on is refused: cancel it before. Screens and plates stay.

    Example: hcs runs delete run-3
    """
    from hcs.catalog import get_run
    from hcs.pipeline.deleting import delete_run_and_files

    if run.strip() == "latest":
        raise UsageError("what is deleted is called by its name, but latest came; `hcs runs` lists the names.")
    with open_existing(catalog, parts) as store:
        gone = delete_run_and_files(store, get_run(store, run).id)
        place = store.parts_uri
    put(f"{gone.run.name} is deleted: {counted(gone.run.n_units, 'unit')}, {counted(gone.run.n_calls, 'call')}")
    put(f"{counted(gone.n_removed_files, 'file')} removed from {place}")
    if gone.run.n_shared_paths:
        put(f"{counted(gone.run.n_shared_paths, 'file')} kept, as other runs took over the units that wrote them")
    if gone.failures:
        say(f"{counted(len(gone.failures), 'file')} could not be removed, and no run refers to them any more:")
    for reason in gone.failures.values():
        say(f"  {reason}")


def status(
    run: Annotated[str, typer.Argument(help="A run's name, or latest (then of any state).")] = "latest",
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    form: FormatOption = Format.TABLE,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it until the run is finished, or until nobody works on it.")
    ] = False,
) -> None:
    """Say how far a run is, from the ledger alone: also from another terminal.

    Ctrl-C ends --watch, and not the run.

    Example: hcs status run-3 --watch
    """
    from hcs.catalog import failures_of, get_run, submission_of

    with open_existing(catalog, parts) as store:
        record = get_run(store, run, finished=False)
        watcher = Watcher(store, record.id)
        told = watcher.read()
        if watch:
            try:
                told = _watch(watcher, told, form)
            except KeyboardInterrupt:
                raise typer.Exit(INTERRUPTED) from None
        failures = failures_of(store, record.id)
        dispatched = dispatch_line(told, submission_of(store, record.id))
        if form is Format.JSON:
            _print_json(told, failures)
        elif form is Format.CSV:
            print_table(_plates(told), form=form)
        else:
            _print_status(told, failures, with_plates=not watch)
        if dispatched is not None:
            say(f"{told.name}: {dispatched}")
        elif _waits_for_nobody(told) or (watch and told.state in UNDER_WAY):
            say(f"nobody works on {told.name} now: the `hcs run` that started it goes on where it stopped")


def cancel(
    run: Annotated[str, typer.Argument(help="A run's name, or latest (then of any state).")],
    catalog: CatalogOption = None,
    parts: PartsOption = None,
) -> None:
    """Cancel a run: what is finished is kept, and whoever works on it gets no more units.

    Example: hcs cancel run-3
    """
    from hcs.catalog import cancel_run, get_run, run_status, submission_of

    with open_existing(catalog, parts) as store:
        record = get_run(store, run, finished=False)
        was = record.state
        if record.is_finished:
            raise UsageError(
                f"expected a run that is not finished, but {record.name} is {_words(was)}: its results stand, and "
                "nothing of it is left to cancel. `hcs runs` lists the runs and their states."
            )
        cancel_run(store, record.id)
        told = run_status(store, record.id)
        submission = submission_of(store, record.id)
    put(f"{told.name} {'was cancelled before' if was is RunState.CANCELLED else f'is cancelled; it was {_words(was)}'}")
    put(f"{told.units[UnitState.DONE]} of {counted(sum(told.units.values()), 'unit')} are done, and kept")
    if told.units[UnitState.LEASED]:
        held = counted(told.units[UnitState.LEASED], "unit")
        put(f"{held} in work: what still comes back is kept, and no more is handed out")
    put(taken_up_by(submission))


def _refuse_options_before(context: typer.Context) -> None:
    """Refuse options of the list that would go unheard."""
    if any(value not in (None, Format.TABLE) for value in context.params.values()):
        raise UsageError(
            f"options of a command stand behind it, but some came before {context.invoked_subcommand}; write "
            f"`hcs runs {context.invoked_subcommand} ... --catalog URL`."
        )


@dataclass
class Watcher:
    """Reads how far a run is, breaks leases of processes that died, and notices when nobody works on it."""

    store: Catalog
    run_id: int
    _told: RunStatus | None = None
    _moved: float = field(default_factory=time.monotonic)
    _next_breaking: float = 0.0

    def read(self) -> RunStatus:
        """Return how far the run is now."""
        from hcs.catalog import release_dead_owners, run_status, submission_of

        now = time.monotonic()
        if now >= self._next_breaking:
            release_dead_owners(self.store, self.run_id)
            self._next_breaking = now + SECONDS_BETWEEN_BREAKING_LEASES
        told = run_status(self.store, self.run_id)
        submission = submission_of(self.store, self.run_id)
        is_at_work = told.drivers or (submission is not None and submission.is_claimed)
        if self._told is None or is_at_work or told.units != self._told.units:
            self._moved = now
        self._told = told
        return told

    def is_worth_it(self) -> bool:
        """Return whether the run may still move, as far as one can see."""
        if self._told is None or self._told.state not in UNDER_WAY:
            return False
        patience = PATIENCE_WITH_RESULTS_SECONDS if is_settled(self._told) else PATIENCE_SECONDS
        return time.monotonic() - self._moved < patience


def _watch(watcher: Watcher, told: RunStatus, form: Format) -> RunStatus:
    """Return how far the run was at the end; where stdout is for a script, stderr shows the way there."""
    if not watcher.is_worth_it():
        return told
    with RunProgress(watcher.read, stream=sys.stdout if form is Format.TABLE else sys.stderr) as progress:
        progress.start()
        while watcher.is_worth_it():
            time.sleep(SECONDS_BETWEEN_LOOKS)
            progress.tick()
    return watcher.read()


def _waits_for_nobody(told: RunStatus) -> bool:
    """Return whether units are waiting and no process that lives holds one."""
    return told.state is RunState.RUNNING and bool(told.units[UnitState.READY]) and not told.drivers


def _plates(told: RunStatus) -> pl.DataFrame:
    """Return one row a plate; a run at whose plates nobody has looked has none, and the columns all the same."""
    from hcs.catalog import PlateProgress

    return pl.DataFrame([vars(plate) for plate in told.plates], schema=[field.name for field in fields(PlateProgress)])


def _words(state: RunState) -> str:
    return state.value.replace("_", " ")


def _print_json(told: RunStatus, failures: pl.DataFrame) -> None:
    facts = ("drivers", "sites", "sites_done", "sites_failed", "sites_per_second", "eta_seconds")
    print_object(
        {
            "run": told.name,
            "state": told.state,
            "units": {state.value: count for state, count in told.units.items()},
            **{name: getattr(told, name) for name in facts},
            "plates": [vars(plate) for plate in told.plates],
            "failed_attempts": [vars(one) for one in told.failed_attempts],
            "failures": failures.to_dicts(),
            "notes": told.notes,
            "dispatch": None if told.dispatch is None else _dispatch(told.dispatch),
        }
    )


def _dispatch(dispatch: Dispatch) -> dict[str, object]:
    return {name: getattr(dispatch, name) for name in ("attempt", "name", "state", "message")}


def _print_status(told: RunStatus, failures: pl.DataFrame, *, with_plates: bool) -> None:
    """Print it for a person; who has watched the bars until now needs no table of the same plates."""
    units = ", ".join(f"{count} {state.value}" for state, count in told.units.items() if count)
    put(f"{told.name}: {_words(told.state)}; units: {units or 'none planned'}")
    put(f"sites: {told.sites_done} done, {told.sites_failed} failed, of {told.sites}")
    if told.sites_per_second and not _waits_for_nobody(told):
        left = "" if told.eta_seconds is None else f", {lasting(told.eta_seconds)} left"
        put(f"{pace(told.sites_per_second)} sites a second{left}")
    if told.drivers > 1:
        put(f"{told.drivers} processes work on it")
    again = [one for one in told.failed_attempts if told.state in UNDER_WAY]
    if again:
        first = f"attempt {again[0].attempt}, of {one_line(again[0].plate)}: {one_line(again[0].reason)}"
        put(f"{counted(len(again), 'unit')} failed once or more and will be tried again; the first, {first}")
    for note in told.notes:
        put(f"  note: {one_line(note)}")
    if with_plates and told.plates:
        print_table(_plates(told).select(COLUMNS), form=Format.TABLE)
    if failures.height:
        print_table(failures.drop("unit_key"), form=Format.TABLE, title="what could not be done")
        if failures["well"].null_count():
            put(f"`hcs retry {told.name}` tries units that failed again")
