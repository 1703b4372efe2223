"""Whether the images and parts of what is done are still the ones that were read and written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from hcs.catalog import Adoptable, Catalog, RunRecord, visible_parts
from hcs.errors import InputChangedError, MissingFileError
from hcs.io.storage import join, read_bytes, sha256_of, sha256_of_bytes
from hcs.io.tables import table_from_bytes
from hcs.pipeline.ahead import in_order
from hcs.pipeline.parts import read_parts, readers_of
from hcs.pipeline.plan import PlannedPlate
from schemas.work import PartReceipt


def is_still_true(unit: Adoptable, *, parts_uri: str, plates: Sequence[PlannedPlate]) -> bool:
    """Return whether a unit that another run has done can be taken over: its files and images are the same.

    Every part is read once.
    """
    contents = [(part, _content(parts_uri, part)) for part in unit.parts]
    if not all(content is not None and sha256_of_bytes(content) == part.sha256 for part, content in contents):
        return False
    images = [
        table_from_bytes(content, join(parts_uri, part.relative_path))
        for part, content in contents
        if part.kind == "images" and content is not None
    ]
    return not changed_inputs(images, plates)


def _content(parts_uri: str, part: PartReceipt) -> bytes | None:
    """Return the content of a part, None where it is gone."""
    try:
        return read_bytes(join(parts_uri, part.relative_path))
    except MissingFileError:
        return None


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
    suspects = []
    for table in images:
        for row in table.iter_rows(named=True):
            root, plane = now[row["plate"], row["relative_path"]]
            if plane.witness != row["witness"]:
                suspects.append((join(root, plane.relative_path), row["sha256"]))
    threads = readers_of(suspects[0][0]) if suspects else 0
    hashes = in_order(sha256_of, [uri for uri, _ in suspects], threads=threads)
    return [uri for (uri, expected), found in zip(suspects, hashes, strict=True) if found != expected]
