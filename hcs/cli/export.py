"""`hcs export`: a run's results as files of the ecosystem."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from hcs.cli.options import CatalogOption, PartsOption, open_existing
from hcs.cli.output import put


class Kind(StrEnum):
    """What the files are."""

    PARQUET = "parquet"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    kind: Annotated[Kind, typer.Argument(help="Format of the tables.")],
    run: Annotated[str, typer.Argument(help="A run's name, or latest.")],
    folder: Annotated[str, typer.Argument(help="Folder or URI that the files are written to.")],
    catalog: CatalogOption = None,
    parts: PartsOption = None,
) -> None:
    """Write a run's tables: equal runs give equal bytes.

    Example: hcs export parquet latest results/
    """
    from hcs.catalog import get_run
    from hcs.pipeline.export import export_run

    with open_existing(catalog, parts) as store:
        record = get_run(store, run)
        written = export_run(store, record, folder, ending=kind.value)
    put(f"{record.name}: {len(written)} files written to {folder}")
