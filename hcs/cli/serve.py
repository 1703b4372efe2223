"""`hcs serve`: the API, in the place of this process."""

from __future__ import annotations

from typing import Annotated

import typer

from hcs.cli.options import CatalogOption, PartsOption, RootsOption
from hcs.cli.services import become


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    host: Annotated[
        str, typer.Option(help="Address to serve; one that others reach needs a key made by `hcs keys create`.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to serve; 0 takes any free one.")] = 8000,
    root: RootsOption = None,
    catalog: CatalogOption = None,
    parts: PartsOption = None,
) -> None:
    """Serve the API over HTTP until Ctrl-C. Runs that are submitted wait for `hcs work`.

    On a laptop the key of this machine is made at the first start, in the file `api-key` beside the catalog.

    Example: hcs serve --root /data/plates
    """
    options = [f"--host={host}", f"--port={port}", *(f"--root={uri}" for uri in root or [])]
    become("services.api", options, catalog=catalog, parts=parts)
