"""`hcs k8s dispatch`: the dispatcher that starts RayJobs, as a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hcs.cli.options import CatalogOption, PartsOption
from hcs.cli.services import become


def dispatch(
    context: typer.Context,
    namespace: Annotated[
        str | None, typer.Option(help="Namespace of the RayJobs [default: the pod's, or the kubeconfig's].")
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="Suspended RayJob that those of runs are made from [default: hcs-run].")
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="File that names the cluster [default: the pod's own, else $KUBECONFIG].")
    ] = None,
    alive: Annotated[
        bool,
        typer.Option("--alive", help="Start nothing; exit code 0: the one of this pod goes on, 1: not."),
    ] = False,
    alive_file: Annotated[
        Path | None, typer.Option(help="File that is touched every round [default: in the temporary folder].")
    ] = None,
    catalog: CatalogOption = None,
    parts: PartsOption = None,
) -> None:
    """Keep one RayJob for every submitted run, until asked to end. RayJobs go on without it.

    Example: hcs k8s dispatch --namespace hcs
    """
    said = {"--namespace": namespace, "--template": template, "--kubeconfig": kubeconfig, "--alive-file": alive_file}
    arguments = [f"{option}={value}" for option, value in said.items() if value is not None]
    arguments += ["--alive"] * alive + ["--debug"] * bool(context.find_root().params.get("debug"))
    become("services.dispatcher.k8s", arguments, catalog=catalog, parts=parts)
