"""What the results of one well were made from, down to the hash of every image."""

from __future__ import annotations

import difflib

import polars as pl

from hcs.catalog import Catalog, RunRecord, parts_of_well, plate_standing
from hcs.errors import InputRejectedError, NotFoundError
from hcs.io.wells import well_name
from hcs.pipeline.parts import read_parts
from schemas.tables import ImageWitnesses


def images_of_well(catalog: Catalog, run: RunRecord, plate: str, well: str) -> tuple[str, pl.DataFrame]:
    """Return the normal name of a well, and the images of it that a run has used, by site and channel.

    Only the part of the unit that holds the well is read. The columns are those of `ImageWitnesses`; a site that could
    not be used has no rows, and so has a well whose turn has not come.

    Raises:
        NotFoundError: If the run has no such plate, or the plate no such well; the nearest are offered.
        StorageError: If the part is missing, or is not the one that was registered.
    """
    standing = plate_standing(catalog, run.id, plate)
    name = _known(well, standing.known, plate=plate, run=run)
    parts = parts_of_well(catalog, run.id, plate, name, kind="images")
    own = [table.filter(pl.col("well") == name) for table in read_parts(catalog.parts_uri, parts)]
    return name, pl.concat([ImageWitnesses.create_empty(), *own]).sort("site", "channel", "relative_path")


def _known(well: str, known: tuple[str, ...], *, plate: str, run: RunRecord) -> str:
    try:
        name = well_name(well)
    except InputRejectedError as error:
        raise NotFoundError(str(error)) from error
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise NotFoundError(f"{run.name} has no well {name} on plate {plate}{hint}")
    return name
