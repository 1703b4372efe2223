"""`hcs dashboard`: the pages with an API and a dispatcher of their own, in the place of this process."""

from __future__ import annotations

from typing import Annotated

import typer

from hcs.cli.options import CatalogOption, PartsOption, RootsOption
from hcs.cli.services import become


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(dashboard)


def dashboard(
    host: Annotated[
        str, typer.Option(help="Address to serve; on one that others reach, each visitor enters a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to serve.")] = 8501,
    api: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask this API; without it one is started here, and a dispatcher."),
    ] = None,
    root: RootsOption = None,
    catalog: CatalogOption = None,
    parts: PartsOption = None,
) -> None:
    """Open the pages on plates, hits, compounds, mechanisms and runs, until Ctrl-C.

    The API and the dispatcher that it starts are those of `hcs serve` and `hcs work`, and end with it.

    Example: hcs dashboard --catalog hcs-demo/catalog.sqlite
    """
    options = [f"--host={host}", f"--port={port}", *(f"--root={uri}" for uri in root or [])]
    if api is not None:
        options.append(f"--api={api}")
    become("dashboards", options, catalog=catalog, parts=parts)
