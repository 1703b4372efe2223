"""`hcs simulate`: a synthetic screen with known truth."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from hcs.cli.options import ThreadsOption, threads_of
from hcs.cli.output import SaidByTenths, counted, put
from hcs.settings import read_settings


class Level(StrEnum):
    """How much of a screen is made."""

    SMALL = "small"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    out: Annotated[str, typer.Argument(help="Folder or URI that the delivery is written to.")],
    level: Annotated[Level, typer.Option(help="small: 5 x 256 x 256 images with cells in them.")] = Level.SMALL,
    seed: Annotated[int, typer.Option(min=0, help="Everything of the screen follows from it.")] = 0,
    batches: Annotated[int, typer.Option(min=1, help="Batches of plates.")] = 1,
    plates: Annotated[int, typer.Option(min=1, help="Plates of a batch.")] = 2,
    wells: Annotated[int, typer.Option(help="Wells of a plate: 24, 48, 96, 384 or 1536.")] = 96,
    sites: Annotated[int, typer.Option(min=1, help="Sites of a well.")] = 1,
    doses: Annotated[int, typer.Option(min=1, help="Doses of a compound.")] = 1,
    workers: ThreadsOption = None,
) -> None:
    """Write what an instrument team would deliver, with the truth beside it under truth/.

    Example: hcs simulate screen/ --plates 2 --wells 96 --seed 7
    """
    from hcs.simulation.deliver import simulate_screen
    from hcs.simulation.design import small_design

    design = small_design(batches=batches, plates=plates, wells=wells, sites=sites, doses=doses)
    shown = SaidByTenths("rendered", "site")
    screen = simulate_screen(
        out, design=design, seed=seed, progress=shown, workers=threads_of(workers, read_settings())
    )
    put(f"{counted(design.n_imaged_sites, 'site')} of {counted(batches * plates, 'plate')} written to {out}")
    put(f"next: hcs check {screen.screen_file}; hcs run {screen.screen_file}")
