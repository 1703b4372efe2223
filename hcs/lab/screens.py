"""Simulated screens embedded without files: what a run would make of them, for studies of encoders.

A site is rendered, surveyed, corrected, cut and embedded by the functions of the line, in the same order; only storage
is left out, so that wells have the same vectors as those of a run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from hcs.embedding.engine import honour_pin, pin_for
from hcs.embedding.loading import load_encoder
from hcs.embedding.names import NAMED
from hcs.errors import StorageError
from hcs.imaging.correct import correct_site, scale_site
from hcs.imaging.features import named_features
from hcs.imaging.nuclei import count_nuclei
from hcs.imaging.survey import survey_plate
from hcs.imaging.tiles import cut_tiles
from hcs.io.storage import write_atomically
from hcs.pipeline.sites import embed_tiles
from hcs.pipeline.well_table import WellTable
from hcs.simulation.design import ScreenDesign
from hcs.simulation.library import CHANNELS
from hcs.simulation.plan import ScreenPlan, lay_out_screen
from hcs.simulation.sites import render_site
from schemas.encoders import EncoderInfo

TILE: Final = 128
CELL_COUNT: Final = "cell_count"
"""Name of the counts among the vectors of a plate; no encoder is called so."""

Vectors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class PlateTask:
    """A plate of a simulated screen and the encoders that its wells are wanted of."""

    design: ScreenDesign
    seed: int
    plate: int
    encoders: tuple[EncoderInfo, ...]


def embed_screens(
    design: ScreenDesign,
    seeds: Sequence[int],
    encoders: Sequence[EncoderInfo],
    *,
    kept: Path | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[int, WellTable]:
    """Return the wells of some screens with their vector by every encoder.

    Args:
        design: Of the screens.
        seeds: Of the screens, all different.
        encoders: Described ones; `named` may be among them.
        kept: Folder in which vectors are kept and looked for, by design, seed, plate and encoder: a further encoder
            costs itself alone.
        workers: Processes, each of which takes plates.
        progress: Called with the number of plates that are done and their total.

    Raises:
        StorageError: If vectors that were kept are damaged.
    """
    tasks = [PlateTask(design, seed, plate, tuple(encoders)) for seed in seeds for plate in range(_n_plates(design))]
    vectors: list[Vectors] = []
    for done in _perform(tasks, kept, workers):
        vectors.append(done)
        if progress is not None:
            progress(len(vectors), len(tasks))
    by_plate = {(task.seed, task.plate): plate for task, plate in zip(tasks, vectors, strict=True)}
    return {seed: _screen_table(lay_out_screen(design, seed), by_plate, encoders) for seed in seeds}


def _n_plates(design: ScreenDesign) -> int:
    return design.n_batches * design.n_plates


def _perform(tasks: list[PlateTask], kept: Path | None, workers: int) -> Iterator[Vectors]:
    """Yield the vectors of every plate in the order of the tasks, as soon as those before it are there."""
    if workers == 1:
        yield from map(embed_plate, tasks, [kept] * len(tasks))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(embed_plate, tasks, [kept] * len(tasks))


def embed_plate(task: PlateTask, kept: Path | None = None) -> Vectors:
    """Return the vectors of a plate's wells by the name of their encoder, and their cell counts; kept ones are read."""
    found = {info.name: _read(_file(kept, task, _identity(info))) for info in task.encoders}
    found[CELL_COUNT] = _read(_file(kept, task, CELL_COUNT))
    missing = tuple(info for info in task.encoders if found[info.name] is None)
    if missing or found[CELL_COUNT] is None:
        made = compute_plate(PlateTask(task.design, task.seed, task.plate, missing))
        identities = {info.name: _identity(info) for info in missing} | {CELL_COUNT: CELL_COUNT}
        for name, matrix in made.items():
            path = _file(kept, task, identities[name])
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(str(path), save({"vectors": matrix}))
        found |= made
    return {name: matrix for name, matrix in found.items() if matrix is not None}


def compute_plate(task: PlateTask) -> Vectors:
    """Return the vectors of a plate's wells by the name of their encoder, and their cell counts."""
    plan = lay_out_screen(task.design, task.seed)
    plate = plan.plates[task.plate]
    sites = [
        render_site(plan, plate, well, site + 1).pixels for well in plate.wells for site in range(task.design.n_sites)
    ]
    survey = survey_plate(sites, channels=CHANNELS)
    encoders = {info.name: load_encoder(info) for info in task.encoders if info.name != NAMED}
    names = (CELL_COUNT, *(info.name for info in task.encoders))
    rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    pin = pin_for(len(CHANNELS) * len(cut_tiles(np.zeros((1, *sites[0].shape[1:]), np.float32), TILE)))
    honour_pin(pin)
    for pixels in sites:
        corrected = correct_site(pixels, survey)
        tiles = cut_tiles(scale_site(corrected, survey), TILE)
        if NAMED in rows:
            rows[NAMED].append(named_features(corrected).ravel())
        rows[CELL_COUNT].append(np.array([count_nuclei(corrected[CHANNELS.index("DNA")])], np.float32))
        for name, encoder in encoders.items():
            rows[name].append(embed_tiles(tiles, encoder, batch_size=pin.batch_size))
    shape = (len(plate.wells), task.design.n_sites, -1)
    return {
        name: np.stack(row).reshape(shape).mean(axis=1, dtype=np.float64).astype(np.float32)
        for name, row in rows.items()
    }


def _identity(info: EncoderInfo) -> str:
    """Return what a vector of an encoder depends on: its weights, and how grey values are normalised for it."""
    return f"{info.name}-{info.weights_sha256[:16]}-{info.mean:.6g}-{info.std:.6g}"


def _file(kept: Path | None, task: PlateTask, identity: str) -> Path | None:
    if kept is None:
        return None
    design = json.dumps({"design": asdict(task.design), "tile": TILE}, sort_keys=True)
    digest = hashlib.sha256(design.encode()).hexdigest()[:12]
    return kept / f"{digest}-{task.seed}" / f"{identity}-{task.plate}.safetensors"


def _read(path: Path | None) -> NDArray[np.float32] | None:
    if path is None or not path.is_file():
        return None
    try:
        vectors: NDArray[np.float32] = load(path.read_bytes())["vectors"]
    except (SafetensorError, KeyError) as error:
        raise StorageError(
            f"vectors that an earlier comparison kept were expected in {path}, but it is damaged ({error}); remove it"
        ) from error
    return vectors


def _screen_table(
    plan: ScreenPlan, vectors: dict[tuple[int, int], Vectors], encoders: Sequence[EncoderInfo]
) -> WellTable:
    plates = range(len(plan.plates))
    counts = np.concatenate([vectors[plan.seed, plate][CELL_COUNT] for plate in plates]).ravel()
    wells = pl.DataFrame(
        [
            {
                "plate": plate.barcode,
                "well": well.well,
                "batch": plate.batch,
                "perturbation": well.treatment.compound.perturbation,
                "concentration_micromolar": well.treatment.concentration_micromolar,
                "control_type": well.treatment.compound.control_type,
                "mechanism": well.treatment.compound.annotation,
                "name": well.treatment.compound.name,
            }
            for plate in plan.plates
            for well in plate.wells
        ],
        schema_overrides={"concentration_micromolar": pl.Float64, "mechanism": pl.String},
        infer_schema_length=None,
    ).with_columns(
        cell_count=pl.Series(counts.astype(np.float64)),
        n_sites=pl.lit(plan.design.n_sites, pl.Int32),
        dose_step=pl.lit(None, pl.Float64),
        smiles=pl.lit(None, pl.String),
        excluded_reason=pl.lit(None, pl.String),
    )
    embeddings = {
        info.name: np.concatenate([vectors[plan.seed, plate][info.name] for plate in plates]) for info in encoders
    }
    return WellTable(wells=wells, embeddings=embeddings)
