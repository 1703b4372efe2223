"""Where wells lie on their plates, and what format these have, from names alone."""

from __future__ import annotations

import polars as pl

from hcs.errors import InputRejectedError
from hcs.io.wells import row_and_column, smallest_format, well_name

Shape = tuple[int, int]


def with_places(wells: pl.DataFrame) -> pl.DataFrame:
    """Return the wells with `row, column`, counted from 1, and `n_rows, n_columns` of the format of their plate.

    A plate has the smallest format that holds all of its wells, if they reach its last row or its last column; wells
    of a few inner rows and columns could be those of any larger plate. Such a plate has the format of the others, where
    these have one in common that holds its wells; else its format is unknown, and null. So is that of a plate of which
    a well has no place.

    Args:
        wells: `plate, well`, in any spelling; null in `row` and `column` where a name is none from A01 to AF48.
    """
    names = wells["well"].cast(pl.String).fill_null("").to_list()
    spelled = {name: _normal(name) for name in set(names)}
    frame = wells.select("plate").with_columns(well=pl.Series([spelled[name] for name in names], dtype=pl.String))
    shapes = _formats(frame)
    rows, columns = _columns([None if name is None else row_and_column(name) for name in frame["well"]])
    n_rows, n_columns = _columns([shapes[plate] for plate in frame["plate"]])
    return wells.with_columns(row=rows, column=columns, n_rows=n_rows, n_columns=n_columns)


def _normal(text: str) -> str | None:
    try:
        return well_name(text)
    except InputRejectedError:
        return None


def _formats(frame: pl.DataFrame) -> dict[object, Shape | None]:
    """Return the format of each plate, by its own wells or by those of all others."""
    wells = {plate[0]: group["well"].to_list() for plate, group in frame.group_by("plate", maintain_order=True)}
    placed = {plate: [name for name in names if name is not None] for plate, names in wells.items()}
    own = {plate: _reached_format(names) for plate, names in placed.items()}
    known = {shape for shape in own.values() if shape is not None}
    common = known.pop() if len(known) == 1 else None
    return {
        plate: None if None in wells[plate] else shape or (common if _holds(common, placed[plate]) else None)
        for plate, shape in own.items()
    }


def _reached_format(names: list[str]) -> Shape | None:
    """Return the smallest format of these wells, if they reach its last row or column."""
    if not names:
        return None
    shape = smallest_format(names)
    rows, columns = zip(*map(row_and_column, names), strict=True)
    return shape if max(rows) == shape[0] or max(columns) == shape[1] else None


def _holds(shape: Shape | None, names: list[str]) -> bool:
    if shape is None:
        return False
    rows, columns = smallest_format(names)
    return rows <= shape[0] and columns <= shape[1]


def _columns(places: list[Shape | None]) -> tuple[pl.Series, pl.Series]:
    first, second = ([None if place is None else place[axis] for place in places] for axis in (0, 1))
    return pl.Series(first, dtype=pl.Int64), pl.Series(second, dtype=pl.Int64)
