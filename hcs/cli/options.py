"""Options that many commands share, and how they find the catalog."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import Format
from hcs.settings import Settings, read_settings

if TYPE_CHECKING:
    from hcs.catalog import Catalog

CatalogOption = Annotated[
    str | None,
    typer.Option("--catalog", metavar="URL", help="Where results are kept [default: $HCS_CATALOG, else ./hcs-data]."),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How the table is printed.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", help="Write the table to this file; the ending decides: csv, csv.gz, parquet, json."),
]
RunOption = Annotated[str, typer.Option("--run", help="A run's name, or latest.")]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Units performed at once [default: the cores]. Changes no result."),
]


def open_existing(url: str | None) -> Catalog:
    """Return the catalog that is asked for, which must exist."""
    from hcs.catalog import open_catalog

    return open_catalog(url or read_settings().catalog, create=False)


def open_or_make(url: str | None) -> Catalog:
    """Return the catalog that is asked for; a new one is made."""
    from hcs.catalog import open_catalog

    return open_catalog(url or read_settings().catalog)


def threads_of(asked: int | None, settings: Settings) -> int:
    """Return how many units are performed at once."""
    return asked or settings.threads or len(os.sched_getaffinity(0))
