"""`hcs work`: the dispatcher, started as a process by its name."""

from __future__ import annotations

from typing import Annotated

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
)
from hcs.cli.services import become
from hcs.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(work)


def work(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Perform what is submitted now, and end.")] = False,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Perform this run alone, and end when it has ended.")
    ] = None,
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
) -> None:
    """Perform submitted runs, one after another: several may do so on one catalog, and each run has one of them.

    Ctrl-C or a request to end hands back what is not finished, and another goes on from there.
    Exit code with --once 0: all complete, 3: one has holes, 1: one failed, or could not be performed here.
    With --run 0: the run has ended, whoever performed it and however it ended; 1: it has not, and was handed back.
    Where another has claimed that run, it is waited for, and taken up if it is not heard of any more.

    Example: hcs work --executor ray
    """
    if once and run is not None:
        raise UsageError(
            f"--once performs all that is submitted and --run only {run}, but both came; leave one of them out."
        )
    performers = Performers(executor, threads, device, address, workers, worker_cpus, worker_gpus, await_nodes)
    which = ["--once"] * once if run is None else [f"--run={run}"]
    asked = which + ["--debug"] * bool(context.find_root().params.get("debug"))
    become("services.dispatcher", [*asked, *performers.arguments()], catalog=catalog, parts=parts)
