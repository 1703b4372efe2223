"""`hcs profiles`: operations on any table of profiles, from a file to a file; one file a command."""

from __future__ import annotations

import typer

from hcs.cli.profiles.aggregate import aggregate
from hcs.cli.profiles.audit import audit
from hcs.cli.profiles.consensus import consensus
from hcs.cli.profiles.correct import correct
from hcs.cli.profiles.normalize import normalize
from hcs.cli.profiles.recipe import recipe
from hcs.cli.profiles.reduce import reduce
from hcs.cli.profiles.select import select
from hcs.cli.profiles.spherize import sphere, spherize


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Normalize, select, combine and correct any table of profiles.", no_args_is_help=True)
    for command in (aggregate, normalize, select, spherize, correct, recipe, consensus, reduce, audit):
        group.command()(command)
    group.command(hidden=True)(sphere)
    app.add_typer(group, name="profiles")
