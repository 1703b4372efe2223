"""`hcs check`: what came, and is it good?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from hcs.cli.output import Format, print_object, print_table, put
from hcs.errors import UsageError
from hcs.settings import read_settings

if TYPE_CHECKING:
    from hcs.pipeline.examination import ExaminedPlate
    from schemas.screen import ScreenConfig

YAML = (".yaml", ".yml")
EXIT_CODES = {"accept": 0, "accept_with_holes": 3, "reject": 4}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    delivery: Annotated[str, typer.Argument(help="A delivered plate (folder or URI), or a SCREEN.yaml.")],
    layout: Annotated[str, typer.Option(help="How the delivery is arranged: auto, cpg or files.")] = "auto",
    platemap: Annotated[list[str] | None, typer.Option(help="A platemap or barcode map; may be repeated.")] = None,
    pattern: Annotated[str | None, typer.Option(help='Filename template, as "{well}_{site}_{channel}.tif".')] = None,
    channels: Annotated[list[str] | None, typer.Option(help="KEY=STAIN, as ch5=DNA; may be repeated.")] = None,
    negcon: Annotated[list[str] | None, typer.Option(help="A negative control's name [default: DMSO].")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Decode every image instead of reading headers.")] = False,
    json_file: Annotated[str | None, typer.Option("--json", help="Write the reports as JSON to this file.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How the report is printed.")] = Format.TABLE,
) -> None:
    """Say what came of a delivered plate, before anything runs.

    Exit code 0: accepted, 3: accepted with holes, 4: rejected.

    Example: hcs check /data/BR00117035 --pattern "{well}_{site}_{channel}.tif" --platemap platemap.csv
    """
    from hcs.pipeline.examination import examine_screen
    from hcs.pipeline.weights import describe_encoders

    config = _config(delivery, layout, platemap or [], pattern, channels or [], negcon or [])
    if delivery.endswith(YAML):
        describe_encoders(config.encoders, settings=read_settings())
    examined, _ = examine_screen(config, decode="all" if deep else "headers")
    if json_file is not None:
        _write_json(json_file, examined)
    if form is Format.JSON:
        print_object(_reports(examined))
    elif form is Format.CSV:
        print_table(_findings(examined), form=form)
    else:
        for plate in examined:
            _print_report(plate)
    raise typer.Exit(max(_exit_code(plate) for plate in examined))


def _config(
    delivery: str, layout: str, platemaps: list[str], pattern: str | None, channels: list[str], negcon: list[str]
) -> ScreenConfig:
    from hcs.io.screen import load_screen
    from schemas.screen import ControlNames, PlateEntry, ScreenConfig

    if delivery.endswith(YAML):
        return load_screen(delivery)
    return ScreenConfig(
        screen="check",
        plates=(PlateEntry(uri=_absolute(delivery), layout=layout),),
        platemaps=tuple(_absolute(path) for path in platemaps) or None,
        pattern=pattern,
        channels=dict(_pair(item) for item in channels) or None,
        controls=ControlNames(negcon=tuple(negcon)) if negcon else ControlNames(),
    )


def _absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).absolute())


def _pair(item: str) -> tuple[str, str]:
    key, separator, name = item.partition("=")
    if not (separator and key and name):
        raise UsageError(f"--channels expects KEY=STAIN, as in ch5=DNA, got {item!r}")
    return key, name


def _exit_code(plate: ExaminedPlate) -> int:
    return 4 if plate.report is None else EXIT_CODES[plate.report.verdict.value]


def _reports(examined: tuple[ExaminedPlate, ...]) -> list[dict[str, object]] | dict[str, object]:
    """One object for one plate, a list for several."""
    reports: list[dict[str, object]] = [
        {"plate": plate.plate, "verdict": "reject", "findings": [], "reason": plate.reason}
        if plate.report is None
        else plate.report.model_dump(mode="json")
        for plate in examined
    ]
    return reports[0] if len(reports) == 1 else reports


def _write_json(path: str, examined: tuple[ExaminedPlate, ...]) -> None:
    import json

    from hcs.io.storage import write_atomically

    write_atomically(path, (json.dumps(_reports(examined), indent=2, ensure_ascii=False) + "\n").encode())


def _findings(examined: tuple[ExaminedPlate, ...]) -> pl.DataFrame:
    """Return one row a finding of any plate."""
    rows = [
        {
            "plate": plate.plate,
            "verdict": plate.report.verdict.value,
            **item.model_dump(mode="json", exclude={"examples"}),
            "examples": ", ".join(item.examples[:3]),
        }
        for plate in examined
        if plate.report is not None
        for item in plate.report.findings
    ]
    columns = ["plate", "verdict", "severity", "kind", "place", "count", "examples", "consequence"]
    schema = {name: pl.Int64 if name == "count" else pl.String for name in columns}
    return pl.DataFrame(rows, schema=schema)


def _print_report(plate: ExaminedPlate) -> None:
    report = plate.report
    if report is None:
        put(f"{plate.plate}: rejected. {plate.reason}")
        return
    verdict = report.verdict.value.replace("_", " ")
    put(
        f"{plate.plate}: {verdict} ({report.layout}; channels {', '.join(report.channels)}; "
        f"{report.n_negcon_wells} negative and {report.n_poscon_wells} positive control wells, "
        f"{report.n_treatment_wells} treated)"
    )
    counts = [
        {"": name, **getattr(report, name).model_dump()}  # a first column without a name: the rows are named
        for name in ("expected", "delivered")
    ]
    print_table(pl.DataFrame(counts), form=Format.TABLE)
    if report.findings:
        print_table(_findings((plate,)).drop("plate", "verdict"), form=Format.TABLE)
