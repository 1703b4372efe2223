"""`hcs images`: a picture of a well or a plate, as a run has read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.options import CatalogOption, PartsOption, RunOption, cores, open_existing
from hcs.cli.output import SaidByTenths, counted, put, say
from hcs.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hcs.pipeline.pictures import Composition, View

WITH_HOLES = 3
SIDE_ON_A_SHEET = 160
"""Pixels of a site on the sheet of a plate: 24 columns are as wide as a large screen."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(images)


def images(
    plate: Annotated[str, typer.Argument(help="A plate's barcode.")],
    well: Annotated[str | None, typer.Argument(help="A well, as B03; without it a sheet of the whole plate.")] = None,
    *,
    output: Annotated[str, typer.Option("--output", "-o", help="The picture's file: .png (exact) or .webp (small).")],
    site: Annotated[
        int | None, typer.Option(min=1, help="Only this site [default: all of a well, the first of each on a sheet].")
    ] = None,
    channels: Annotated[
        list[str] | None, typer.Option(help="Only these, as DNA or DNA,ER; may be repeated. One alone is grey.")
    ] = None,
    contrast: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="Percentiles of the pixels shown that are black and full colour [default: the range that the run "
            "found on the plate, the same for all wells].",
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Do not correct the illumination.")] = False,
    size: Annotated[
        int | None,
        typer.Option(
            min=8,
            help=f"Pixels of a site's longer side, at most [default: as it is; {SIDE_ON_A_SHEET} on a sheet].",
        ),
    ] = None,
    run: RunOption = "latest",
    catalog: CatalogOption = None,
    parts: PartsOption = None,
) -> None:
    """Compose a picture of a well, its sites side by side, or of a whole plate, of the images that a run has read.

    A site that is missing or cannot be read is a dark place with a cross. Exit code 3: there is one.

    Example: hcs images BR00117035 B03 -o B03.png
    """
    from hcs.catalog import get_run
    from hcs.io.pictures import picture_format, write_picture
    from hcs.pipeline.images import plate_images
    from hcs.pipeline.pictures import picture_plate, picture_well

    picture_format(output)
    view = _view(channels, contrast, raw, size or (SIDE_ON_A_SHEET if well is None else None))
    with open_existing(catalog, parts) as store:
        found = plate_images(store, get_run(store, run), plate)
    if well is None:
        shown = picture_plate(found, site=site, view=view, threads=cores(), progress=SaidByTenths("read", "site"))
    else:
        shown = picture_well(found, well, site=site, view=view, threads=cores())
    picture = shown.picture if well is not None else _with_places(shown)
    write_picture(picture, output)
    _report(shown, plate, f"{picture.shape[1]} x {picture.shape[0]} pixels in {output}")
    raise typer.Exit(WITH_HOLES if shown.holes else 0)


def _with_places(shown: Composition) -> NDArray[np.uint8]:
    """Return the sheet of a plate with the letters of its rows and the numbers of its columns."""
    from hcs.io.pictures import with_axes
    from hcs.io.wells import row_and_column, row_letters

    places = {
        row_and_column(place[0]): (y, x) for y, row in enumerate(shown.grid) for x, place in enumerate(row) if place
    }
    (row, column), (y, x) = next(iter(places.items()))
    rows = [row_letters(row - y + index) for index in range(len(shown.grid))]
    columns = [str(column - x + index) for index in range(len(shown.grid[0]))]
    return with_axes(shown.picture, rows=rows, columns=columns)


def _view(channels: list[str] | None, contrast: tuple[float, float] | None, raw: bool, size: int | None) -> View:
    from hcs.pipeline.pictures import View

    if contrast is not None and not 0 <= contrast[0] < contrast[1] <= 100:
        raise UsageError(
            f"--contrast expects two percentiles with 0 <= LOW < HIGH <= 100, got {contrast[0]:g} and {contrast[1]:g}"
        )
    names = tuple(name.strip() for item in channels or () for name in item.split(",") if name.strip())
    if channels and not names:
        raise UsageError(
            "--channels expects names of channels, as DNA or DNA,ER, but it names none; leave it out for all"
        )
    return View(channels=names or None, contrast=contrast, raw=raw, longest_side=size)


def _report(shown: Composition, plate: str, written: str) -> None:
    from hcs.io.wells import row_and_column, row_letters

    places = [place for row in shown.grid for place in row if place is not None]
    wells = sorted({well for well, _ in places})
    rows, columns = zip(*map(row_and_column, wells), strict=True)
    first, last = (f"{row_letters(end(rows))}{end(columns):02d}" for end in (min, max))
    what = f"well {wells[0]}" if len(wells) == 1 else f"{counted(len(wells), 'well')}, {first} to {last}"
    put(f"plate {plate}, {what}: {counted(len(places), 'site')}, {written}")
    for channel in shown.channels:
        colour = "#" + "".join(f"{part:02x}" for part in channel.colour)
        put(f"  {channel.channel}: {colour}, intensities {channel.low:.6g} to {channel.high:.6g}")
    for hole in shown.holes:
        say(f"note: {hole}")
