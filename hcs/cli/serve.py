"""`hcs serve`: the API, in the place of this process."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from hcs.cli.options import CatalogOption, PartsOption

MODULE = "services.api"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    host: Annotated[
        str, typer.Option(help="Address to serve; one that others reach needs a key made by `hcs keys create`.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to serve; 0 takes any free one.")] = 8000,
    root: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI",
            help="Folder or s3://BUCKET/PREFIX that submitted deliveries must lie under; may be repeated "
            "[default: $HCS_ROOTS, separated by commas, else the present folder].",
        ),
    ] = None,
    catalog: CatalogOption = None,
    parts: PartsOption = None,
) -> None:
    """Serve the API over HTTP until Ctrl-C. Runs that are submitted wait for `hcs work`.

    On a laptop the key of this machine is made at the first start, in the file `api-key` beside the catalog.

    Example: hcs serve --root /data/plates
    """
    given: dict[str, list[str | None]] = {
        "--host": [host],
        "--port": [str(port)],
        "--root": [*(root or [])],
        "--catalog": [catalog],
        "--parts": [parts],
    }
    options = [f"{name}={value}" for name, values in given.items() for value in values if value is not None]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", MODULE, *options])  # noqa: S606 - no shell
