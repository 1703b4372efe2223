"""The text files that come with a delivery: platemaps, annotations, load_data.csv and SCREEN.yaml.

They follow the conventions of the Cell Painting Gallery and hold nothing that a laboratory would not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from hcs.io.tables import table_bytes
from hcs.screenfile import screen_yaml
from hcs.simulation.compounds import Treatment
from hcs.simulation.design import ScreenDesign
from hcs.simulation.library import CHANNELS
from hcs.simulation.plan import PlatePlan, ScreenPlan, WellPlan
from schemas.screen import PixelsConfig, PlateEntry, ScreenConfig

TILE: Final = 128
_CAMERA_ORDER: Final = ("Mito", "AGP", "RNA", "ER", "DNA")
"""Channels 1 to 5 of the instrument."""
_PERT_TYPES: Final = {"treatment": "trt", "negcon": "negcon", "poscon": "poscon"}


def plate_folder(plate: PlatePlan) -> str:
    """Return the folder of a plate's delivery, relative to the screen's."""
    return f"{plate.batch}/images/{plate.barcode}"


def image_name(well: WellPlan, site: int, channel: str) -> str:
    """Return the name of one image as the instrument gives it, as in `r01c01f01p01-ch5sk1fk1fl1.tiff`."""
    number = _CAMERA_ORDER.index(channel) + 1
    return f"r{well.row + 1:02d}c{well.column + 1:02d}f{site:02d}p01-ch{number}sk1fk1fl1.tiff"


def text_files(plan: ScreenPlan) -> Iterator[tuple[str, bytes]]:
    """Yield (path relative to the screen's folder, content) of every text file; SCREEN.yaml is the last."""
    for plate in plan.plates:
        yield f"{plate_folder(plate)}/load_data.csv", table_bytes(load_data(plan.design, plate), ending="csv")
        yield f"metadata/{plate.batch}/platemap/{plate.platemap}.txt", _tab_separated(platemap(plate))
    for batch in dict.fromkeys(plate.batch for plate in plan.plates):
        yield f"metadata/{batch}/barcode_platemap.csv", table_bytes(barcode_platemap(plan, batch), ending="csv")
    yield "metadata/external_metadata.tsv", _tab_separated(external_metadata(plan))
    yield "SCREEN.yaml", screen_file(plan).encode()


def _tab_separated(frame: pl.DataFrame) -> bytes:
    return frame.write_csv(separator="\t").encode()


def load_data(design: ScreenDesign, plate: PlatePlan) -> pl.DataFrame:
    """Return load_data.csv of one plate, one row a site. Paths are relative to the file, so that it can be moved."""
    rows = [
        {
            "Metadata_Source": "simulation",
            "Metadata_Batch": plate.batch,
            "Metadata_Plate": plate.barcode,
            "Metadata_Well": well.well,
            "Metadata_Site": str(site),
            **{f"FileName_Orig{channel}": image_name(well, site, channel) for channel in CHANNELS},
            **{f"PathName_Orig{channel}": "Images" for channel in CHANNELS},
        }
        for well in plate.wells
        for site in range(1, design.n_sites + 1)
    ]
    return pl.DataFrame(rows)


def platemap(plate: PlatePlan) -> pl.DataFrame:
    """Return what is in every well of a plate; empty wells are not in it."""
    return pl.DataFrame(
        [
            {
                "plate_map_name": plate.platemap,
                "well_position": well.well,
                "broad_sample": well.treatment.compound.perturbation,
                "mmoles_per_liter": _millimolar(well.treatment),
                "solvent": "DMSO",
                "pert_type": _PERT_TYPES[well.treatment.compound.control_type],
            }
            for well in plate.wells
        ],
        schema_overrides={"mmoles_per_liter": pl.String},
    )


def _millimolar(treatment: Treatment) -> str | None:
    concentration = treatment.concentration_micromolar
    return None if concentration is None else f"{concentration / 1000:.10g}"


def barcode_platemap(plan: ScreenPlan, batch: str) -> pl.DataFrame:
    """Return which platemap every plate of a batch has."""
    plates = [plate for plate in plan.plates if plate.batch == batch]
    return pl.DataFrame(
        {
            "Assay_Plate_Barcode": [plate.barcode for plate in plates],
            "Plate_Map_Name": [plate.platemap for plate in plates],
        }
    )


def external_metadata(plan: ScreenPlan) -> pl.DataFrame:
    """Return the annotation of every perturbation, sorted by its identifier."""
    compounds = dict.fromkeys(treatment.compound for treatment in plan.treatments)
    return pl.DataFrame(
        [
            {
                "broad_sample": compound.perturbation,
                "InChIKey": compound.inchikey or None,
                "pert_iname": compound.name,
                "moa": compound.annotation,
                "pert_type": _PERT_TYPES[compound.control_type],
                "smiles": None,
            }
            for compound in compounds
        ],
        schema_overrides={"moa": pl.String, "smiles": pl.String, "InChIKey": pl.String},
    )


def screen_file(plan: ScreenPlan) -> str:
    """Return SCREEN.yaml; its paths start at the file, and it names no encoders, so a run takes the default ones."""
    batches = dict.fromkeys(plate.batch for plate in plan.plates)
    config = ScreenConfig(
        screen=f"simulated-{plan.seed}",
        plates=tuple(
            PlateEntry(barcode=plate.barcode, uri=plate_folder(plate), layout="cpg", batch=plate.batch)
            for plate in plan.plates
        ),
        platemaps=tuple(f"metadata/{batch}/barcode_platemap.csv" for batch in batches),
        annotations="metadata/external_metadata.tsv",
        pixels=PixelsConfig(tile=min(TILE, plan.design.site_px)),
    )
    return screen_yaml(config)
