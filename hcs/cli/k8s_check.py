"""`hcs k8s check`: are manifests sound, as far as one can tell without a cluster?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import Format, counted, print_object, print_table, put, say
from hcs.errors import UsageError

if TYPE_CHECKING:
    from hcs.k8s.checking.finding import Verdict
    from hcs.k8s.checking.objects import Object
    from hcs.k8s.checking.reach import Reach

STDIN = "-"
REJECTED = 4


def check(
    places: Annotated[
        list[str],
        typer.Argument(metavar="[FILE|FOLDER|-]...", help="Rendered manifests, overlays of kustomize, or - for stdin."),
    ],
    crds: Annotated[
        Path | None, typer.Option("--crds", help="Folder of CustomResourceDefinitions that custom objects are held to.")
    ] = None,
    core_only: Annotated[bool, typer.Option("--core-only", help="Hold no custom object against a definition.")] = False,
    kubernetes: Annotated[
        list[str] | None,
        typer.Option("--kubernetes", metavar="1.N", help="A version; may be repeated [default: 1.33, 1.35, 1.37]."),
    ] = None,
    reach: Annotated[
        Path | None,
        typer.Option("--reach", help="Table of who reaches what [default: reach.yaml beside a kustomization]."),
    ] = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="How findings are printed [default: a sentence each].")
    ] = None,
) -> None:
    """Say what is wrong with manifests, without a cluster.

    Each place is a set of objects of its own. Exit code 0: nothing is wrong, 4: something is.

    Example: hcs k8s check k8s/overlays/prod --crds crds
    """
    from hcs.cli.parsing import refusal_of
    from hcs.k8s.checking.core import VERSIONS
    from hcs.k8s.checking.judging import judge
    from hcs.k8s.checking.objects import read_objects

    if core_only and crds is not None:
        raise UsageError("expected --crds or --core-only, got both; --core-only holds no object against a definition")
    verdicts = {
        place: judge(
            _some(read_objects(_read(place), source=_shown(place)), place),
            parse=refusal_of,
            definitions=crds,
            holds_custom=not core_only,
            versions=tuple(kubernetes or VERSIONS),
            reach=_table(place, reach),
        )
        for place in places
    }
    _print(verdicts, form)
    if any(verdict.findings for verdict in verdicts.values()):
        raise typer.Exit(REJECTED)


def _some(objects: list[Object], place: str) -> list[Object]:
    if not objects:
        raise UsageError(
            f"expected Kubernetes objects in {_shown(place)}, got none; name a rendered file, a folder of YAML, or "
            "one with a kustomization.yaml"
        )
    return objects


def _shown(place: str) -> str:
    return "stdin" if place == STDIN else place


def _read(place: str) -> str:
    from hcs.k8s.checking.rendering import read_place

    return sys.stdin.read() if place == STDIN else read_place(Path(place))


def _table(place: str, named: Path | None) -> Reach | None:
    from hcs.k8s.checking.reach import read_reach
    from hcs.k8s.checking.rendering import REACH, read_place

    beside = Path(place) / REACH
    file = named or (beside if place != STDIN and beside.is_file() else None)
    if file is None:
        say(f"{_shown(place)}: no table of who reaches what ({REACH}), so that NetworkPolicies are not simulated")
        return None
    return read_reach(read_place(file), source=str(file))


def _print(verdicts: dict[str, Verdict], form: Format | None) -> None:
    if form is Format.JSON:
        print_object([_as_object(place, verdict) for place, verdict in verdicts.items()])
    elif form is not None:
        _print_table(verdicts, form)
    else:
        for verdict in verdicts.values():
            for finding in verdict.findings:
                put(str(finding))
    for place, verdict in verdicts.items():
        for one in verdict.unchecked:
            say(f"{_shown(place)}: not evaluated: {one}")
        findings = counted(len(verdict.findings), "finding")
        say(f"{_shown(place)}: {counted(verdict.n_objects, 'object')}, {findings}")


def _as_object(place: str, verdict: Verdict) -> dict[str, object]:
    return {
        "place": place,
        "objects": verdict.n_objects,
        "findings": [vars(finding) for finding in verdict.findings],
        "not_evaluated": [vars(one) for one in verdict.unchecked],
    }


def _print_table(verdicts: dict[str, Verdict], form: Format) -> None:
    import polars as pl

    columns = ("item", "path", "rule", "expected", "got", "advice")
    rows = [
        {"place": place, **{column: getattr(finding, column) for column in columns}}
        for place, verdict in verdicts.items()
        for finding in verdict.findings
    ]
    print_table(pl.DataFrame(rows, schema=dict.fromkeys(("place", *columns), pl.String)), form=form)
