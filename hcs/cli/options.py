"""Options that many commands share, and what they stand for: the catalog, and who performs units."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import Format
from hcs.errors import UsageError
from hcs.settings import Settings, read_settings

if TYPE_CHECKING:
    from hcs.catalog import Catalog
    from schemas.work import Executor


class ExecutorName(StrEnum):
    """Who performs units."""

    LOCAL = "local"
    RAY = "ray"


class Device(StrEnum):
    """What computes forwards."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


CatalogOption = Annotated[
    str | None,
    typer.Option("--catalog", metavar="URL", help="Where results are kept [default: $HCS_CATALOG, else ./hcs-data]."),
]
PartsOption = Annotated[
    str | None,
    typer.Option(
        "--parts",
        metavar="URI",
        help="Where files of units are kept [default: $HCS_PARTS, else beside an SQLite catalog].",
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How the table is printed.")]
OutputOption = Annotated[
    str | None,
    typer.Option("--output", help="Write the table to this file; the ending decides: csv, csv.gz, parquet, json."),
]
RunOption = Annotated[str, typer.Option("--run", help="A run's name, or latest.")]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Units at once, or workers, here [default: the cores]. Changes no result."),
]

ExecutorOption = Annotated[
    ExecutorName,
    typer.Option("--executor", help="local: threads of this process; ray: a pool of worker processes. Same results."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="HOST:PORT", help="Ray cluster that this machine is a node of, or auto; else one is made."
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Workers of the pool [default: all that there is room for].")
]
WorkerCpusOption = Annotated[
    float | None, typer.Option("--worker-cpus", min=0.01, help="Cores of a worker [default: 1, or a GPU's share].")
]
WorkerGpusOption = Annotated[
    float | None, typer.Option("--worker-gpus", min=0.01, help="GPUs of a worker, as 0.5 [default: a quarter].")
]
DeviceOption = Annotated[Device, typer.Option("--device", help="auto: cuda where there is a GPU. It is part of a run.")]


@dataclass(frozen=True)
class Performers:
    """What the options say of who performs units."""

    executor: ExecutorName
    threads: int | None = None
    device: Device = Device.AUTO
    address: str | None = None
    workers: int | None = None
    worker_cpus: float | None = None
    worker_gpus: float | None = None

    def make(self, settings: Settings, *, on_one_machine: bool = False) -> Executor:
        """Return the executor that was asked for; nothing is started yet.

        Args:
            settings: What the environment says.
            on_one_machine: Whether the catalog is a file, so that a cluster of several machines is refused.

        Raises:
            UsageError: If options of one executor are given to the other.
        """
        threads = threads_of(self.threads, settings)
        if self.executor is ExecutorName.LOCAL:
            self._refuse(
                {"--address", "--workers", "--worker-cpus", "--worker-gpus"},
                "for a pool of workers: add --executor ray, or leave it out",
            )
            from hcs.pipeline.local import LocalExecutor

            return LocalExecutor(threads=threads, device=self.device)
        if self.address is not None:
            self._refuse({"--threads"}, "for this machine alone: with --address, --workers says how many there are")
        return self._pool(threads, on_one_machine=on_one_machine)

    def _pool(self, threads: int, *, on_one_machine: bool) -> Executor:
        from hcs.distributed.pool import RayExecutor

        return RayExecutor(
            address=self.address,
            device=self.device,
            workers=self.workers,
            cpus=self.worker_cpus,
            gpus=self.worker_gpus,
            own_cpus=threads,
            on_one_machine=on_one_machine,
        )

    def _refuse(self, options: set[str], meaning: str) -> None:
        given = sorted(
            option for option in options if getattr(self, option.removeprefix("--").replace("-", "_")) is not None
        )
        if given:
            raise UsageError(f"{', '.join(given)} {'are' if len(given) > 1 else 'is'} {meaning}")


def open_existing(url: str | None, parts: str | None) -> Catalog:
    """Return the catalog that is asked for, which must exist."""
    return _open(url, parts, create=False)


def open_or_make(url: str | None, parts: str | None) -> Catalog:
    """Return the catalog that is asked for; a new one is made."""
    return _open(url, parts, create=True)


def _open(url: str | None, parts: str | None, *, create: bool) -> Catalog:
    from hcs.catalog import open_catalog

    settings = read_settings()
    return open_catalog(url or settings.catalog, parts_uri=parts or settings.parts, create=create)


def threads_of(asked: int | None, settings: Settings) -> int:
    """Return how many units are performed at once."""
    return asked or settings.threads or cores()


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))
