"""`hcs run` and `hcs retry`: a screen from its delivered files to hits in the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from hcs.cli.options import (
    AddressOption,
    AwaitNodesOption,
    CatalogOption,
    Device,
    DeviceOption,
    ExecutorName,
    ExecutorOption,
    PartsOption,
    Performers,
    ThreadsOption,
    WorkerCpusOption,
    WorkerGpusOption,
    WorkersOption,
    open_existing,
    open_or_make,
)
from hcs.cli.output import counted, put, say
from hcs.cli.progress import RunProgress
from hcs.settings import Settings, read_settings

if TYPE_CHECKING:
    from hcs.catalog import Catalog, Registration, RunStatus
    from hcs.pipeline.run import Performed
    from schemas.screen import ScreenConfig
    from schemas.work import UnitOutcome, UnitSpec

WITH_HOLES = 3
INTERRUPTED = 130
CALLS = ("inactive", "underpowered", "not_callable")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    app.command()(retry)


def run(
    screen: Annotated[str, typer.Argument(metavar="SCREEN.yaml", help="What to run (path or URI).")],
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    threads: ThreadsOption = None,
    device: DeviceOption = Device.AUTO,
    address: AddressOption = None,
    workers: WorkersOption = None,
    worker_cpus: WorkerCpusOption = None,
    worker_gpus: WorkerGpusOption = None,
    await_nodes: AwaitNodesOption = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this run; it must be of the same SCREEN.yaml.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Start anew although the same configuration has a run.")] = False,
) -> None:
    """Run a screen here, from the delivered files to hits in the catalog.

    The same command again goes on where an interrupted run stopped, and says so when the run is finished.
    Exit code 0: complete, 3: done but with holes, 4: the input was rejected.

    Example: hcs run SCREEN.yaml --executor ray
    """
    from hcs.io.screen import load_screen

    performers = Performers(executor, threads, device, address, workers, worker_cpus, worker_gpus, await_nodes)
    settings = read_settings()
    config = load_screen(screen)
    with open_or_make(catalog, parts) as store, interruptible():
        performed = perform(store, config, performers=performers, settings=settings, new=new, resume=resume)
        _report(store, performed)
    raise typer.Exit(WITH_HOLES if performed.has_holes else 0)


def retry(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run's name, or latest.")],
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    only: Annotated[
        str, typer.Option("--only", metavar="TEXT", help="Those whose reason contains this, in any case.")
    ] = "",
    executor: ExecutorOption = ExecutorName.LOCAL,
    threads: ThreadsOption = None,
    device: DeviceOption = Device.AUTO,
    address: AddressOption = None,
    workers: WorkersOption = None,
    worker_cpus: WorkerCpusOption = None,
    worker_gpus: WorkerGpusOption = None,
    await_nodes: AwaitNodesOption = None,
) -> None:
    """Try the units of a run again that failed, here, and nothing else of what it has done.

    What an interrupted or cancelled run has left to do is done too. No SCREEN.yaml is needed: the run's own is kept.
    Exit code 0: the run is complete, 3: it still has holes.

    Example: hcs retry latest --only "worker was lost"
    """
    from hcs.catalog import get_run

    settings = read_settings()
    with open_existing(catalog, parts) as store, interruptible():
        record = get_run(store, name, finished=False)
        own = Device(record.known_pin().device) if device is Device.AUTO else device
        performers = Performers(executor, threads, own, address, workers, worker_cpus, worker_gpus, await_nodes)
        performed = perform(
            store, record.config, performers=performers, settings=settings, resume=record.name, retry_only=only
        )
        if not performed.n_again:
            fitting = f" with {only!r} in its reason" if only else ""
            put(f"{record.name} has no failed unit{fitting}: nothing was tried again")
            if not only and any("sites that could not be used" in note for note in performed.run.notes):
                put("sites that could not be read are rows of units that are done: `hcs run --new` reads them again")
        else:
            put(f"{counted(performed.n_again, 'unit')} of {record.name} tried again")
        _report(store, performed)
    raise typer.Exit(WITH_HOLES if performed.has_holes else 0)


@contextmanager
def interruptible() -> Iterator[None]:
    """End with the exit code of Ctrl-C where it or a request to end came: nothing is left behind."""
    from hcs.pipeline.interrupts import interrupts

    try:
        with interrupts():
            yield
    except KeyboardInterrupt:
        say("interrupted: what is finished is kept, and the same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None


def perform(
    store: Catalog,
    config: ScreenConfig,
    *,
    performers: Performers,
    settings: Settings,
    new: bool = False,
    resume: str | None = None,
    retry_only: str | None = None,
) -> Performed:
    """Perform a screen's run with progress on stderr."""
    from hcs.pipeline.plan import by_site
    from hcs.pipeline.run import perform_run
    from hcs.pipeline.submission import prepare_run

    with closing(performers.make(settings, on_one_machine=store.is_for_one_machine)) as executor:
        prepared = prepare_run(config, settings=settings, pin=executor.pin)
        for plate in prepared.rejected:
            say(f"{plate.plate}: rejected, takes no part; `hcs check` tells why. {plate.reason or ''}".rstrip())
        n_sites = sum(len(by_site(plate.planes)) for plate in prepared.plates)
        seen = Seen(store, n_sites=n_sites, is_pool=performers.executor is ExecutorName.RAY)
        with seen.progress:
            return perform_run(
                store,
                prepared,
                executor=executor,
                watcher=seen,
                new=new,
                resume=resume,
                retry_only=retry_only,
                lease_seconds=settings.lease_seconds,
            )


class Seen:
    """A watcher that shows a run on stderr."""

    def __init__(self, store: Catalog, *, n_sites: int, is_pool: bool) -> None:
        """Show nothing until a run has started."""
        self._store = store
        self._is_pool = is_pool
        self._n_sites = n_sites
        self._run_id = 0
        self.progress = RunProgress(self._read)

    def started(self, registration: Registration) -> None:
        """Say which run it is, and begin to show how far it is."""
        run = registration.run
        self._run_id = run.id
        done = self._read().sites_done
        state = "new" if registration.is_new else f"{run.state.value}, {counted(done, 'site')} done before"
        n_plates = counted(len(self._read().plates), "plate")
        say(f"{run.name} of screen {run.screen}: {n_plates}, {counted(self._n_sites, 'site')} ({state})")
        if not run.is_finished:
            self.progress.start()

    def opening(self) -> None:
        """Say that workers are started, where that takes a while."""
        if self._is_pool:
            say("starting the workers")

    def came(self, spec: UnitSpec, outcome: UnitOutcome) -> None:
        """Show a unit that came back."""
        self.progress.update(spec, outcome)

    def tick(self) -> None:
        """Show how far the run is."""
        self.progress.tick()

    def _read(self) -> RunStatus:
        from hcs.catalog import run_status

        return run_status(self._store, self._run_id)


def _report(store: Catalog, performed: Performed) -> None:
    from hcs.catalog import EVERY_CALL, find_hits, profiles_of
    from hcs.profiling.profiles import COMBINED

    run = performed.run
    if performed.was_finished:
        put(f"{run.name} is finished already ({run.state.value.replace('_', ' ')}); `hcs run --new` starts anew")
    else:
        put(f"{run.name} finished: {run.state.value.replace('_', ' ')}")
    for note in run.notes:
        put(f"  note: {note}")
    if COMBINED not in {receipt.name for receipt in profiles_of(store, run.id)}:
        return  # a note says why
    calls = find_hits(store, EVERY_CALL, run=run.id)
    for kind, words in (("treatment", "treatments"), ("poscon", "positive controls")):
        put(f"{words}: {_counted(calls.filter(pl.col('control_type') == kind))} at q <= {run.config.hits.q_max:g}")
    put(f"`hcs hits --run {run.name}` lists the active ones")


def _counted(calls: pl.DataFrame) -> str:
    """Return how many calls there are of each kind, as in `3 of 40 active, 37 underpowered`."""
    counts = dict(calls["call"].cast(pl.String).value_counts().iter_rows())
    others = [f"{counts[name]} {name.replace('_', ' ')}" for name in CALLS if counts.get(name)]
    return ", ".join([f"{counts.get('active', 0)} of {calls.height} active", *others])
