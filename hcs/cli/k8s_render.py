"""`hcs k8s render`: what would be created for a run, without a cluster."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from hcs.cli.options import CatalogOption, PartsOption, open_existing
from hcs.cli.output import emit, say
from hcs.errors import MissingFileError, TemplateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from hcs.k8s.rayjob import RunJob

STDIN = "-"
NO_CATALOG = "0" * 32


class ObjectFormat(StrEnum):
    """How an object is printed."""

    YAML = "yaml"
    JSON = "json"


def render(
    of: Annotated[str, typer.Argument(metavar="RUN|SCREEN.yaml", help="A submitted run, or what could be submitted.")],
    template: Annotated[
        str, typer.Option("--template", metavar="FILE", help="The template, or a rendered overlay; - for stdin.")
    ],
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    form: Annotated[ObjectFormat, typer.Option("--format", help="How the object is printed.")] = ObjectFormat.YAML,
) -> None:
    """Print the RayJob that the dispatcher creates for a run. No cluster is asked, and nothing is created.

    Example: kubectl kustomize k8s/overlays/prod | hcs k8s render SCREEN.yaml --template -
    """
    from hcs.k8s.rayjob import render as rendered

    job = _of_screen(Path(of)) if _is_file(of) else _of_run(of, catalog, parts)
    made = rendered(_template(template), job)
    if form is ObjectFormat.JSON:
        emit(json.dumps(made, indent=2, ensure_ascii=False) + "\n")
    else:
        emit(yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=120))


def _is_file(of: str) -> bool:
    return of.endswith((".yaml", ".yml")) or Path(of).is_file()


def _of_screen(path: Path) -> RunJob:
    from hcs.io.screen import load_screen
    from hcs.k8s.rayjob import RunJob
    from hcs.pipeline.on_kubernetes import demand_of

    config = load_screen(str(path))
    say(f"{path} is not submitted: its run is called run-1 here, and its catalog {NO_CATALOG[:8]}")
    return RunJob(catalog=NO_CATALOG, run_id=1, attempt=1, demand=demand_of(config, None))


def _of_run(reference: str, catalog: str | None, parts: str | None) -> RunJob:
    from hcs.catalog import OPEN, catalog_id, get_run, last_dispatch, submission_of
    from hcs.pipeline.on_kubernetes import job_of

    with open_existing(catalog, parts) as store:
        run = get_run(store, reference, finished=False)
        if submission_of(store, run.id) is None:
            raise UsageError(
                f"expected a run that was submitted, but {run.name} of screen {run.screen} never was: no dispatcher "
                "creates anything for it. `hcs submit SCREEN.yaml` submits a run."
            )
        if run.state not in OPEN:
            words = run.state.value.replace("_", " ")
            say(f"{run.name} is {words}: nothing is created for it unless it is asked for again")
        last = last_dispatch(store, run.id)
        attempt = 1 if last is None else last.attempt + last.has_ended
        return job_of(run, catalog=catalog_id(store), attempt=attempt)


def _template(place: str) -> Mapping[str, Any]:
    from hcs.k8s.bounded import check_bounds
    from hcs.k8s.rayjob import find_template

    try:
        text = sys.stdin.read() if place == STDIN else Path(place).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MissingFileError(
            f"expected the template of runs in {place}, but there is no such file. "
            "`kubectl kustomize k8s/overlays/prod` prints one."
        ) from error
    except IsADirectoryError as error:
        raise TemplateError(
            f"expected a file with the template of runs, but {place} is a folder. `kubectl kustomize {place}` prints "
            "what it holds, and --template - reads that."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"expected the template of runs in {place}, but it cannot be read ({error}).") from error
    try:
        check_bounds(text)
        return find_template(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        why = " ".join(str(error).split())
        raise TemplateError(f"expected YAML with the template of runs in {place}, but {why}.") from error
