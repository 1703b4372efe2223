"""`hcs init`: a SCREEN.yaml to edit, from what a delivery looks like."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hcs.cli.output import counted, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)


def init(
    delivery: Annotated[str, typer.Argument(help="A delivered plate, or a folder of several (folder or URI).")],
    layout: Annotated[str, typer.Option(help="How the delivery is arranged: auto, cpg or files.")] = "auto",
) -> None:
    """Print a SCREEN.yaml of a delivery: plates, names of files, channels, platemap and controls, as far as they show.

    What nobody can see says FILL_IN, and is refused until a person has filled it in.

    Example: hcs init /data/BR00117035 > SCREEN.yaml
    """
    from hcs.io.draft import draft_screen
    from hcs.screenfile import FILL_IN

    text = draft_screen(delivery, layout=layout)
    sys.stdout.write(text)
    n_open = sum(FILL_IN in line.partition("#")[0] for line in text.splitlines())
    say(
        f"{counted(n_open, 'place')} to fill in; then hcs check SCREEN.yaml"
        if n_open
        else "next: hcs check SCREEN.yaml"
    )
