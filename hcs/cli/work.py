"""`hcs work`: the dispatcher, started as a process by its name."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import hcs
from hcs.cli.options import (
    AddressOption,
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


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(work)


def work(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Perform what is submitted now, and end.")] = False,
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    threads: ThreadsOption = None,
    device: DeviceOption = Device.AUTO,
    address: AddressOption = None,
    workers: WorkersOption = None,
    worker_cpus: WorkerCpusOption = None,
    worker_gpus: WorkerGpusOption = None,
) -> None:
    """Perform submitted runs, one after another: several may do so on one catalog, and each run has one of them.

    Ctrl-C or a request to end hands back what is not finished, and another goes on from there.
    Exit code with --once 0: all complete, 3: one has holes, 1: one failed, or could not be performed here.

    Example: hcs work --executor ray
    """
    performers = Performers(executor, threads, device, address, workers, worker_cpus, worker_gpus)
    environment = {**os.environ, **_said(HCS_CATALOG=catalog, HCS_PARTS=parts), **_path()}
    asked = ["--once"] * once + ["--debug"] * bool(context.find_root().params.get("debug"))
    command = [sys.executable, "-P", "-m", "services.dispatcher", *asked, *performers.arguments()]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own interpreter, which then is this process


def _said(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _path() -> dict[str, str]:
    """Return what makes the dispatcher the one beside this `hcs`, where that lies in a checkout.

    `-P` keeps out the present folder, in which a user may have services of their own.
    """
    beside = str(Path(hcs.__file__).parents[1])
    if {"site-packages", "dist-packages"} & set(Path(beside).parts):
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [beside, os.environ.get("PYTHONPATH")]))}
