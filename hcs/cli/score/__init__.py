"""`hcs score`: calls and scores on any table of profiles, one file a command."""

from __future__ import annotations

import typer

from hcs.cli.score.activity import activity


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Call and score the perturbations of any table of profiles.", no_args_is_help=True)
    for command in (activity,):
        group.command()(command)
    group.callback()(_group)
    app.add_typer(group, name="score")


def _group() -> None:
    """Call and score the perturbations of any table of profiles."""
