"""Looks at every delivered plate of a screen, and says what came of it: no engine is loaded for that."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
import structlog

from hcs.errors import DeliveryError, UsageError
from hcs.io.acceptance import examine
from hcs.io.layouts import Delivery, read_delivery
from hcs.io.platemaps import read_plate_wells
from hcs.io.storage import reading_once
from schemas.acceptance import AcceptanceReport, Verdict
from schemas.screen import PlateEntry, ScreenConfig

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ExaminedPlate:
    """One delivered plate with its report; one that cannot even be listed has no delivery. A reason rejects it.

    `sizes` are the (height, width) of its images that can be read, by path.
    """

    entry: PlateEntry
    plate: str
    delivery: Delivery | None
    report: AcceptanceReport | None
    reason: str | None = None
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict, repr=False)

    @property
    def is_accepted(self) -> bool:
        """Whether the plate takes part in the run."""
        return self.reason is None and self.report is not None and self.report.verdict is not Verdict.REJECT


def examine_screen(
    config: ScreenConfig, *, decode: str = "headers", refuses_alone: bool = True
) -> tuple[tuple[ExaminedPlate, ...], pl.DataFrame]:
    """Return every plate of a screen with its acceptance report, and what was done to the wells of all of them.

    A plate that cannot be listed does not stop the others.

    Args:
        config: The screen.
        decode: `headers` reads where each image begins and ends; `all` decodes each.
        refuses_alone: Whether the only plate of a screen that cannot be listed is an error: nothing is left to tell of.

    Raises:
        DeliveryError: If it is and cannot.
        PlatemapError: If a platemap cannot be read: nothing is loaded unless all rows are valid.
        UsageError: If two entries name the same plate.
    """
    with reading_once():
        return _examined(config, decode=decode, refuses_alone=refuses_alone)


def _examined(
    config: ScreenConfig, *, decode: str, refuses_alone: bool
) -> tuple[tuple[ExaminedPlate, ...], pl.DataFrame]:
    is_refused = refuses_alone and len(config.plates) == 1
    listed = [_list_plate(entry, config, is_refused=is_refused) for entry in config.plates]
    names = [plate for _, plate, _, _ in listed]
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise UsageError(
            f"screen {config.screen}: expected every plate once, but {', '.join(repeated)} is given more than once; "
            "give each entry of `plates` its own `barcode`"
        )
    wells = read_plate_wells(config, names)
    _refuse_unmatched(config, listed, wells)
    examined = []
    for entry, plate, delivery, reason in listed:
        own = wells.filter(pl.col("plate") == plate)
        found = None if delivery is None else examine(delivery, own, config=config, decode=decode)
        report, sizes = (None, {}) if found is None else (found.report, found.sizes)
        examined.append(ExaminedPlate(entry, plate, delivery, report, reason=reason, sizes=sizes))
    return tuple(examined), wells


def _refuse_unmatched(
    config: ScreenConfig, listed: Sequence[tuple[PlateEntry, str, Delivery | None, str | None]], wells: pl.DataFrame
) -> None:
    """Refuse names in a SCREEN.yaml that match nothing: a typing error there would silently change the calls.

    Raises:
        UsageError: If `exclude_wells` or `controls` names a plate, well or perturbation that is not there.
    """
    plates = [plate for _, plate, _, _ in listed]
    for item in config.exclude_wells:
        if item.plate not in plates:
            raise UsageError(_unmatched(config, f"plate {item.plate}", "`exclude_wells`", plates))
    places = set(wells.select("plate", "well").iter_rows())
    for _, plate, delivery, _ in listed:
        if delivery is not None:
            places |= {(plate, well) for well in delivery.images["well"].unique()}
    for item in config.exclude_wells:
        if (item.plate, item.well) not in places:
            known = sorted(well for plate, well in places if plate == item.plate)
            raise UsageError(_unmatched(config, f"well {item.plate}:{item.well}", "`exclude_wells`", known))
    perturbations = sorted({str(name) for name in wells["perturbation"].drop_nulls().unique()})
    folded = {name.strip().casefold() for name in perturbations}
    for name in config.controls.poscon:
        if wells.height and name.strip().casefold() not in folded:
            raise UsageError(_unmatched(config, f"positive control {name}", "`controls`", perturbations))


def _unmatched(config: ScreenConfig, what: str, field: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(what.rsplit(" ", maxsplit=1)[-1].rpartition(":")[-1], known, n=3, cutoff=0.0)
    return f"screen {config.screen}: {what}, named in {field}, is neither in the delivery nor in a platemap" + (
        f"; did you mean {', '.join(near)}?" if near else ""
    )


def _list_plate(
    entry: PlateEntry, config: ScreenConfig, *, is_refused: bool
) -> tuple[PlateEntry, str, Delivery | None, str | None]:
    try:
        delivery = read_delivery(entry, config)
    except DeliveryError as error:
        if is_refused:
            raise
        name = entry.barcode or entry.uri.rstrip("/").rsplit("/", 1)[-1]
        log.warning("plate cannot be listed", plate=name, reason=str(error))
        return entry, name, None, str(error)
    return entry, delivery.plate, delivery, None
