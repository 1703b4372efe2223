"""What was done to the wells of a screen."""

from __future__ import annotations

from collections.abc import Sequence

import dataframely as dy
import polars as pl

from hcs.errors import PlatemapError
from hcs.io.platemaps.annotations import annotate, read_annotations
from hcs.io.platemaps.assignment import wells_of_plates
from hcs.io.platemaps.controls import UNDECIDED, decide_control_types
from schemas.screen import ScreenConfig
from schemas.tables import PlateWells


def read_plate_wells(config: ScreenConfig, plates: Sequence[str]) -> dy.DataFrame[PlateWells]:
    """Return what was done to every well that a platemap describes, sorted by plate and well.

    A plate that no platemap names has no rows: that is a finding of its acceptance, not an error.

    Args:
        config: Its `platemaps`, `annotations` and `controls` count.
        plates: Barcodes of the screen's plates.

    Raises:
        PlatemapError: If a table cannot be read, rows are wrong (none is loaded then), or a control is neither named
            negative nor positive.
    """
    described = wells_of_plates(config.platemaps, list(dict.fromkeys(plates)))
    uris = (config.annotations,) if isinstance(config.annotations, str) else (config.annotations or ())
    annotations = read_annotations(uris, perturbations=described["perturbation"].drop_nulls().unique())
    annotated = annotate(described, annotations)
    decided = decide_control_types(annotated, controls=config.controls)
    _refuse_undecided(decided)
    # A solvent well got its perturbation just now: what is known of it comes with the same table.
    return PlateWells.validate(
        annotate(decided, annotations).select(list(PlateWells.columns())).sort("plate", "well"), cast=True
    )


def _refuse_undecided(wells: pl.DataFrame) -> None:
    undecided = wells.filter(pl.col("control_type") == UNDECIDED)["perturbation"].unique().sort().to_list()
    if undecided:
        raise PlatemapError(
            f"the platemap calls {', '.join(map(str, undecided[:10]))} a control without saying which kind; name it in "
            "`controls: {negcon: [...], poscon: [...]}`"
        )
