"""`hcs k8s check`: runs on Kubernetes."""

from __future__ import annotations

import typer

from hcs.cli.k8s_check import check


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Perform runs on Kubernetes.", no_args_is_help=True)
    group.callback()(_group)
    group.command()(check)
    app.add_typer(group, name="k8s")


def _group() -> None:
    """Perform runs on Kubernetes."""
