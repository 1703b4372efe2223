"""What is true of a simulated screen, as tables, and how calls on it score against them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from hcs.errors import UsageError
from hcs.io.storage import join
from hcs.io.tables import read_table
from hcs.simulation.conditions import N_SCANNERS, plate_stain
from hcs.simulation.library import CHANNELS, N_AXES
from hcs.simulation.plan import PlatePlan, ScreenPlan, WellPlan
from hcs.simulation.sites import SimulatedSite

Dtype = pl.DataType | type[pl.DataType]

_PHENOTYPE: Final = pl.Array(pl.Float32, N_AXES)
_SITE: Final[dict[str, Dtype]] = {"plate": pl.String, "well": pl.String, "site": pl.Int32}
_SITE_COLUMNS: Final[dict[str, Dtype]] = {
    **_SITE,
    "cell_count": pl.Int32,
    "is_out_of_focus": pl.Boolean,
    "defocus_sigma_px": pl.Float64,
    "n_debris": pl.Int32,
    "expected_cells": pl.Float64,
    "edge_factor": pl.Float64,
    "count_factor": pl.Float64,
    **{f"gain_{channel}": pl.Float64 for channel in CHANNELS},
    "mean_phenotype": _PHENOTYPE,
}
_CELL_COLUMNS: Final[dict[str, Dtype]] = {
    **_SITE,
    "cell": pl.Int32,
    "y": pl.Float32,
    "x": pl.Float32,
    "phenotype": _PHENOTYPE,
}

KEY: Final = ["perturbation", "concentration_micromolar"]


@dataclass(frozen=True)
class SiteTruth:
    """What is true of some sites: a row a site, and a row a cell that has its centre in one."""

    sites: pl.DataFrame
    cells: pl.DataFrame


@dataclass(frozen=True)
class DemoScore:
    """How calls compare with the truth, over treatments without the controls.

    `false_discovery_proportion` is the share of hits that have exactly the negative control's distribution, 0 without
    hits. `mechanism_accuracy` is the share, of the hits that are truly active, whose predicted mechanism is the true
    one; None without such hits.
    """

    treatments: int
    active: int
    hits: int
    recall: float | None
    false_discovery_proportion: float
    mechanism_accuracy: float | None


def site_truth(plate: PlatePlan, well: WellPlan, site: int, rendered: SimulatedSite) -> SiteTruth:
    """Return what is true of one rendered site."""
    key = {"plate": plate.barcode, "well": well.well, "site": site}
    conditions, cells = rendered.conditions, rendered.cells
    row = key | {
        "cell_count": len(cells.centres),
        "is_out_of_focus": conditions.is_out_of_focus,
        "defocus_sigma_px": conditions.optics.defocus_sigma,
        "n_debris": conditions.n_debris,
        "expected_cells": conditions.expected_cells,
        "edge_factor": conditions.edge_factor,
        "count_factor": conditions.count_factor,
        **{f"gain_{channel}": gain for channel, gain in zip(CHANNELS, conditions.optics.gain.tolist(), strict=True)},
        "mean_phenotype": cells.phenotypes.mean(axis=0).tolist() if len(cells.phenotypes) else None,
    }
    return SiteTruth(
        sites=pl.DataFrame([row], schema=_SITE_COLUMNS),
        cells=pl.DataFrame(
            {
                **{name: [value] * len(cells.centres) for name, value in key.items()},
                "cell": np.arange(1, len(cells.centres) + 1),
                "y": cells.centres[:, 0],
                "x": cells.centres[:, 1],
                "phenotype": cells.phenotypes.astype(np.float32),
            },
            schema=_CELL_COLUMNS,
        ),
    )


def truth_files(plan: ScreenPlan, truths: Iterable[SiteTruth]) -> dict[str, pl.DataFrame]:
    """Return every table of the truth by the name of its file.

    `treatments` says what each does, `wells` and `sites` which effects and artefacts there are, `latents` the mean
    phenotype of each site and `cells` each cell's place and phenotype, `plates` the scanner and the gain of the stains.
    """
    collected = list(truths)
    sites = pl.concat([truth.sites for truth in collected], rechunk=True).sort(list(_SITE))
    cells = pl.concat([truth.cells for truth in collected], rechunk=True).sort([*_SITE, "cell"])
    return {
        "truth/treatments.parquet": treatment_truth(plan),
        "truth/plates.parquet": _plate_truth(plan),
        "truth/wells.parquet": _well_truth(plan, sites),
        "truth/sites.parquet": sites.drop("mean_phenotype"),
        "truth/latents.parquet": sites.select(*_SITE, "mean_phenotype"),
        "truth/cells.parquet": cells,
    }


def treatment_truth(plan: ScreenPlan) -> pl.DataFrame:
    """Return one row a treatment, controls among them, sorted by perturbation and concentration.

    `push` is the mean shift of the phenotype along `library.AXES`, `effect_size` its length, `viability` the share of
    cells that are left. `mechanism` is null for what is not active.
    """
    rows = [
        {
            "perturbation": treatment.compound.perturbation,
            "concentration_micromolar": treatment.concentration_micromolar,
            "control_type": treatment.compound.control_type,
            "mechanism": treatment.compound.mechanism,
            "annotated_mechanism": treatment.compound.annotation,
            "is_active": treatment.is_active,
            "is_null": treatment.is_null,
            "effect_size": treatment.effect_size,
            "viability": treatment.viability,
            "half_concentration_micromolar": treatment.compound.action.half_concentration_micromolar,
            "hill": treatment.compound.action.hill,
            "push": list(treatment.push),
        }
        for treatment in plan.treatments
    ]
    texts = ("mechanism", "annotated_mechanism")
    floats = ("concentration_micromolar", "half_concentration_micromolar", "hill")
    overrides = dict.fromkeys(texts, pl.String()) | dict.fromkeys(floats, pl.Float64()) | {"push": _PHENOTYPE}
    frame = pl.DataFrame(rows, schema_overrides=overrides, infer_schema_length=None)
    has_curve = (pl.col("control_type") == "treatment") & ~pl.col("is_null")
    return frame.with_columns(pl.when(has_curve).then(pl.col("half_concentration_micromolar", "hill")))


def _plate_truth(plan: ScreenPlan) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "plate": plate.barcode,
                "batch": plate.batch,
                "scanner": plate.batch_index % N_SCANNERS + 1,
                **{
                    f"gain_{channel}": math.exp(gain)
                    for channel, gain in zip(CHANNELS, plate_stain(plan, plate).tolist(), strict=True)
                },
            }
            for plate in plan.plates
        ]
    )


def _well_truth(plan: ScreenPlan, sites: pl.DataFrame) -> pl.DataFrame:
    contents = pl.DataFrame(
        [
            {
                "plate": plate.barcode,
                "batch": plate.batch,
                "well": well.well,
                "perturbation": well.treatment.compound.perturbation,
                "concentration_micromolar": well.treatment.concentration_micromolar,
                "control_type": well.treatment.compound.control_type,
            }
            for plate in plan.plates
            for well in plate.wells
        ],
        schema_overrides={"concentration_micromolar": pl.Float64},
        infer_schema_length=None,
    )
    measured = sites.group_by("plate", "well", maintain_order=True).agg(
        pl.col("cell_count").sum(),
        pl.col("is_out_of_focus").any().alias("has_out_of_focus_site"),
        (pl.col("n_debris") > 0).any().alias("has_debris"),
        pl.col("edge_factor", "count_factor", *(f"gain_{channel}" for channel in CHANNELS)).first(),
    )
    return contents.join(measured, on=["plate", "well"], how="left", maintain_order="left", validate="1:1")


def read_treatment_truth(screen_uri: str) -> pl.DataFrame:
    """Return `treatment_truth` of a screen that was written to a folder.

    Raises:
        StorageError: If the folder holds no truth.
    """
    return read_table(join(screen_uri, "truth/treatments.parquet"))


def score_calls(calls: pl.DataFrame, truth: pl.DataFrame) -> DemoScore:
    """Return how calls compare with the truth.

    Args:
        calls: Rows of `schemas.tables.TreatmentCalls` with a column `predicted_mechanism` beside them, predicted with
            the treatment's own annotation hidden. Rows of positive controls do not count. A treatment without a row
            counts as no hit.
        truth: `treatment_truth` of the screen.

    Raises:
        UsageError: If a column is missing, or calls are about treatments that the screen does not have, or twice about
            the same one.
    """
    missing = {*KEY, "control_type", "is_hit", "predicted_mechanism"} - set(calls.columns)
    if missing:
        raise UsageError(
            f"calls with the columns of TreatmentCalls and predicted_mechanism were expected; {sorted(missing)} missing"
        )
    tested = _with_key(truth.filter(pl.col("control_type") == "treatment"))
    called = _with_key(calls.filter(pl.col("control_type") == "treatment"))
    _check_calls(called, tested)
    joined = tested.join(
        called.select("key", "is_hit", "predicted_mechanism"), on="key", how="left", maintain_order="left"
    ).with_columns(pl.col("is_hit").fill_null(value=False))
    hits = joined.filter("is_hit")
    found = hits.filter("is_active")
    active = int(joined["is_active"].sum())
    right = (found["predicted_mechanism"] == found["mechanism"]).fill_null(value=False)
    return DemoScore(
        treatments=joined.height,
        active=active,
        hits=hits.height,
        recall=found.height / active if active else None,
        false_discovery_proportion=int(hits["is_null"].sum()) / hits.height if hits.height else 0.0,
        mechanism_accuracy=int(right.sum()) / found.height if found.height else None,
    )


def _with_key(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `key`: perturbation and concentration to six digits, since units were converted on the way."""
    digits = pl.col("concentration_micromolar").cast(pl.Float64).round_sig_figs(6).cast(pl.String).fill_null("")
    return frame.with_columns(pl.concat_str("perturbation", digits, separator="@").alias("key"))


def _check_calls(called: pl.DataFrame, tested: pl.DataFrame) -> None:
    unknown = called.join(tested, on="key", how="anti")["key"].sort().to_list()
    if unknown:
        raise UsageError(
            f"calls about the {tested.height} treatments of this simulated screen were expected, but {len(unknown)} "
            f"are about others, such as {unknown[0]}; is this the truth of another screen?"
        )
    repeated = called["key"].filter(called["key"].is_duplicated()).sort().to_list()
    if repeated:
        raise UsageError(
            f"one call a treatment was expected, but {repeated[0]} has several; take one profile at a time"
        )
