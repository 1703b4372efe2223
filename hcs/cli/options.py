"""Options that many commands share, and what they stand for: the catalog, and who performs units."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import Format
from hcs.distributed.performers import Device, ExecutorName, Performers, cores, threads_of
from hcs.errors import UsageError
from hcs.settings import read_settings

if TYPE_CHECKING:
    from hcs.catalog import Catalog


__all__ = ["Device", "ExecutorName", "Performers", "cores", "threads_of"]

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
RootsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--root",
        metavar="URI",
        help="Folder or s3://BUCKET/PREFIX that submitted deliveries must lie under; may be repeated "
        "[default: $HCS_ROOTS, separated by commas, else the present folder].",
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How the table is printed.")]
OutputOption = Annotated[
    str | None,
    typer.Option("--output", help="Write the table to this file; the ending decides: csv, tsv, txt, parquet, json."),
]
RunOption = Annotated[str, typer.Option("--run", help="A run's name, or latest.")]
MOST_THREADS = 1024

ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=MOST_THREADS,
        help="Units at once, or workers, here [default: the cores]. Changes no result.",
    ),
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
AwaitNodesOption = Annotated[
    float | None,
    typer.Option(
        "--await-nodes",
        min=1,
        metavar="SECONDS",
        help="For a cluster that grows when asked: how long to wait for nodes; --workers says for how many.",
    ),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="auto: cuda where there is a GPU. It is part of a run.")]


def open_existing(url: str | None, parts: str | None) -> Catalog:
    """Return the catalog that is asked for, which must exist."""
    return _open(url, parts, create=False)


def open_or_make(url: str | None, parts: str | None) -> Catalog:
    """Return the catalog that is asked for; a new one is made."""
    return _open(url, parts, create=True)


def _open(url: str | None, parts: str | None, *, create: bool) -> Catalog:
    from hcs.catalog import open_catalog

    settings = read_settings()
    return open_catalog(
        url or settings.catalog,
        parts_uri=parts or settings.parts,
        create=create,
        may_upgrade=settings.upgrade,
    )


def local_place(place: Path, *, what: str) -> Path:
    """Return a place on this machine; of an s3:// URL a path would make a folder called `s3:`.

    Raises:
        UsageError: If a URL was given.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(place)):
        raise UsageError(f"{what} can be written on this machine alone, but a URL came: {place}; name a path")
    return place
