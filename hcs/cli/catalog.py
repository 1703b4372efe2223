"""`hcs catalog upgrade` and `wait`: who brings the tables up to date, and who waits for that."""

from __future__ import annotations

from typing import Annotated

import typer

from hcs.cli.options import CatalogOption
from hcs.cli.output import put
from hcs.settings import read_settings


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Bring the tables of the catalog up to date, or wait for that.", no_args_is_help=True)
    group.command()(upgrade)
    group.command()(wait)
    app.add_typer(group, name="catalog")


def upgrade(catalog: CatalogOption = None) -> None:
    """Bring the catalog to the newest schema, in one transaction; make it where there is none.

    Every command that opens a catalog does so too, unless HCS_UPGRADE is false.

    Example: hcs catalog upgrade
    """
    from hcs.catalog import upgrade_schema
    from hcs.catalog.migrations import HEAD

    before = upgrade_schema(catalog or read_settings().catalog)
    was = "it is new" if before.revision is None else f"it had schema {before.revision}"
    put(f"{before.location} has schema {HEAD}" + ("" if before.is_newest else f"; {was}"))


def wait(
    seconds: Annotated[float, typer.Option(min=0, help="Give up after so many.")] = 600.0,
    catalog: CatalogOption = None,
) -> None:
    """Wait until the catalog answers and has the newest schema, and change nothing.

    Exit code 0: it has; 1: it did not in time, or a newer version wrote it.

    Example: hcs catalog wait --seconds 300
    """
    from hcs.catalog import wait_for_schema

    found = wait_for_schema(catalog or read_settings().catalog, seconds=seconds)
    put(f"{found.location} has schema {found.revision}")
