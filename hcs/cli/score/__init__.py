"""`hcs score`: stop 6 on any table of profiles, one file a command."""

from __future__ import annotations

import typer

from hcs.cli.score.activity import activity
from hcs.cli.score.consistency import consistency
from hcs.cli.score.magnitude import magnitude
from hcs.cli.score.nsc import nsc
from hcs.cli.score.power import power
from hcs.cli.score.replicating import replicating
from hcs.cli.score.singlicates import singlicates


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Score any table of profiles: what is active, alike, strong.", no_args_is_help=True)
    for command in (activity, singlicates, magnitude, replicating, consistency, nsc, power):
        group.command()(command)
    app.add_typer(group, name="score")
