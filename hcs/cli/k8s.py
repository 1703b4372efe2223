"""`hcs k8s check`, `render`, `dispatch`: runs on Kubernetes."""

from __future__ import annotations

import typer

from hcs.cli.k8s_check import check
from hcs.cli.k8s_dispatch import dispatch
from hcs.cli.k8s_render import render


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Perform runs on Kubernetes.", no_args_is_help=True)
    group.command()(check)
    group.command()(render)
    group.command()(dispatch)
    app.add_typer(group, name="k8s")
