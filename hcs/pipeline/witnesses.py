"""Whether the images and parts of what is done are still the ones that were read and written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from hcs.catalog import Adoptable, Catalog, RunRecord, visible_parts
from hcs.errors import InputChangedError
from hcs.io.storage import exists, join, sha256_of
from hcs.pipeline.parts import read_part, read_parts
from hcs.pipeline.plan import PlannedPlate
from schemas.work import PartReceipt


def is_still_true(unit: Adoptable, *, parts_uri: str, plates: Sequence[PlannedPlate]) -> bool:
    """Return whether a unit that another run has done can be taken over: its files and images are the same."""
    if not all(is_part_intact(parts_uri, part) for part in unit.parts):
        return False
    images = [
        read_part(parts_uri, part.relative_path, expected_sha256=part.sha256)
        for part in unit.parts
        if part.kind == "images"
    ]
    return not changed_inputs(images, plates)


def is_part_intact(parts_uri: str, part: PartReceipt) -> bool:
    """Return whether a part's file is there and is the one that was registered."""
    uri = join(parts_uri, part.relative_path)
    return exists(uri) and sha256_of(uri) == part.sha256


def refuse_changed_inputs(catalog: Catalog, run: RunRecord, plates: Sequence[PlannedPlate]) -> None:
    """Refuse to go on where images changed under what a run has done: it never mixes two versions of its input.

    Raises:
        InputChangedError: If the content of an image is not what the run has read.
    """
    images = read_parts(catalog.parts_uri, visible_parts(catalog, run.id, kind="images"))
    changed = changed_inputs(images, plates)
    if changed:
        raise InputChangedError(
            f"{run.name}: expected the images that it has read already, but the content of {len(changed)} of "
            f"them changed since, first {changed[0]}; start anew with `hcs run --new`, or put the images back"
        )


def changed_inputs(images: Iterable[pl.DataFrame], plates: Sequence[PlannedPlate]) -> list[str]:
    """Return the images whose content is not what was read, as URIs.

    An image whose witness (modification time or ETag) is the recorded one is taken to be the same; any other is
    hashed again, and the hash decides.

    Args:
        images: Tables of `schemas.tables.ImageWitnesses`.
        plates: The plates as they are delivered now.
    """
    now = {(plate.plate, plane.relative_path): (plate.root, plane) for plate in plates for plane in plate.planes}
    changed = []
    for table in images:
        for row in table.iter_rows(named=True):
            root, plane = now[row["plate"], row["relative_path"]]
            if plane.witness != row["witness"] and sha256_of(join(root, plane.relative_path)) != row["sha256"]:
                changed.append(join(root, plane.relative_path))
    return changed
