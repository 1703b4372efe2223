"""`hcs run`, `hcs runs`, `hcs status`: runs as people need them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from hcs.cli.options import (
    CatalogOption,
    FormatOption,
    OutputOption,
    ThreadsOption,
    open_existing,
    open_or_make,
    threads_of,
)
from hcs.cli.output import Format, counted, print_object, print_table, put, say
from hcs.cli.progress import RunProgress
from hcs.settings import read_settings
from schemas.work import RunState, UnitState

if TYPE_CHECKING:
    from hcs.catalog import Catalog, Registration, RunStatus
    from hcs.pipeline.run import Performed
    from hcs.pipeline.submission import PreparedRun

WITH_HOLES = 3
INTERRUPTED = 130
CALLS = ("inactive", "underpowered", "not_callable")
SECONDS_BETWEEN_LOOKS = 2.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    app.command()(runs)
    app.command()(status)


def run(
    screen: Annotated[Path, typer.Argument(metavar="SCREEN.yaml", help="What to run.")],
    catalog: CatalogOption = None,
    threads: ThreadsOption = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this run; it must be of the same SCREEN.yaml.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Start anew although the same configuration has a run.")] = False,
) -> None:
    """Run a screen here, from the delivered files to hits in the catalog.

    The same command again goes on where an interrupted run stopped, and says so when the run is finished.
    Exit code 0: complete, 3: done but with holes, 4: the input was rejected.

    Example: hcs run SCREEN.yaml
    """
    from hcs.io.screen import load_screen
    from hcs.pipeline.submission import prepare_run

    settings = read_settings()
    config = load_screen(str(screen))
    with open_or_make(catalog) as store:
        prepared = prepare_run(config, settings=settings)
        for plate in prepared.rejected:
            say(f"{plate.plate}: rejected, takes no part; `hcs check` tells why. {plate.reason or ''}".rstrip())
        try:
            performed = perform(store, prepared, threads=threads_of(threads, settings), new=new, resume=resume)
        except KeyboardInterrupt:
            say("interrupted: what is finished is kept, and the same command goes on from there")
            raise typer.Exit(INTERRUPTED) from None
        _report(store, performed)
    raise typer.Exit(WITH_HOLES if performed.has_holes else 0)


def perform(
    store: Catalog, prepared: PreparedRun, *, threads: int, new: bool = False, resume: str | None = None
) -> Performed:
    """Perform a prepared run in this process with progress on stderr."""
    from hcs.catalog import run_status
    from hcs.pipeline.local import LocalExecutor
    from hcs.pipeline.plan import by_site
    from hcs.pipeline.run import perform_run

    progress = RunProgress(n_sites=sum(len(by_site(plate.planes)) for plate in prepared.plates))

    def on_start(registration: Registration) -> None:
        run, told = registration.run, run_status(store, registration.run.id)
        progress.n_done = told.sites_done
        state = "new" if registration.is_new else f"{run.state.value}, {told.sites_done} sites were done before"
        n_plates, n_sites = counted(len(prepared.plates), "plate"), counted(progress.n_sites, "site")
        say(f"{run.name} of screen {run.screen}: {n_plates}, {n_sites} ({state})")

    with progress:
        return perform_run(
            store,
            prepared,
            make_executor=lambda: LocalExecutor(threads=threads),
            on_start=on_start,
            on_progress=progress.update,
            new=new,
            resume=resume,
        )


def _report(store: Catalog, performed: Performed) -> None:
    from hcs.catalog import find_hits, profiles_of

    run = performed.run
    if performed.was_finished:
        put(f"{run.name} is finished already ({run.state.value.replace('_', ' ')}); --new starts anew")
    else:
        put(f"{run.name} finished: {run.state.value.replace('_', ' ')}")
    for note in run.notes:
        put(f"  note: {note}")
    if not profiles_of(store, run.id):
        return
    calls = find_hits(store, run=run.id, q_max=1.0)
    for kind, words in (("treatment", "treatments"), ("poscon", "positive controls")):
        put(f"{words}: {_counted(calls.filter(pl.col('control_type') == kind))} at q <= {run.config.hits.q_max:g}")
    put(f"`hcs hits --run {run.name}` lists the active ones")


def _counted(calls: pl.DataFrame) -> str:
    """Return how many calls there are of each kind, as in `3 of 40 active, 37 underpowered`."""
    counts = dict(calls["call"].cast(pl.String).value_counts().iter_rows())
    others = [f"{counts[name]} {name.replace('_', ' ')}" for name in CALLS if counts.get(name)]
    return ", ".join([f"{counts.get('active', 0)} of {calls.height} active", *others])


def runs(catalog: CatalogOption = None, form: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """List the runs of the catalog, newest last.

    Example: hcs runs --format json
    """
    from hcs.catalog import list_runs

    with open_existing(catalog) as store:
        print_table(list_runs(store), form=form, output=output)


def status(
    run: Annotated[str, typer.Argument(help="A run's name, or latest (then of any state).")] = "latest",
    catalog: CatalogOption = None,
    form: FormatOption = Format.TABLE,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every 2 seconds until the run is finished.")
    ] = False,
) -> None:
    """Say how far a run is, from the ledger alone: also from another terminal.

    Example: hcs status run-3 --watch
    """
    from hcs.catalog import failures_of, get_run, release_dead_owners, run_status

    with open_existing(catalog) as store:
        record = get_run(store, run, finished=False)
        release_dead_owners(store, record.id)
        told = run_status(store, record.id)
        while watch and told.state is RunState.RUNNING and not _is_left(told):
            _print_status(record.name, told, form)
            time.sleep(SECONDS_BETWEEN_LOOKS)
            release_dead_owners(store, record.id)
            told = run_status(store, record.id)
        _print_status(record.name, told, form)
        if _is_left(told):
            say(f"nobody works on {record.name} now: the `hcs run` that started it goes on where it stopped")
        failures = failures_of(store, record.id)
        if failures.height and form is not Format.JSON:
            print_table(failures, form=form, title="what could not be done")


def _is_left(told: RunStatus) -> bool:
    """Return whether units are waiting and no process that lives holds one."""
    return told.state is RunState.RUNNING and bool(told.units[UnitState.READY]) and not told.units[UnitState.LEASED]


def _print_status(name: str, told: RunStatus, form: Format) -> None:
    units = {state.value: count for state, count in told.units.items()}
    plates = [vars(plate) for plate in told.plates]
    if form is Format.JSON:
        facts = {key: getattr(told, key) for key in ("sites", "sites_done", "sites_failed")}
        rates = {"sites_per_second": told.sites_per_second, "eta_seconds": told.eta_seconds}
        print_object({"run": name, "state": told.state, "units": units, **facts, **rates, "plates": plates})
        return
    counted = ", ".join(f"{count} {state}" for state, count in units.items() if count)
    put(f"{name}: {told.state.value.replace('_', ' ')}; units: {counted or 'none planned'}")
    put(f"sites: {told.sites_done} done, {told.sites_failed} failed, of {told.sites}")
    if told.sites_per_second and not _is_left(told):
        eta = "" if told.eta_seconds is None else f", {told.eta_seconds:.0f} s left"
        put(f"{told.sites_per_second:.1f} sites a second{eta}")
    if plates:
        print_table(pl.DataFrame(plates), form=form)
