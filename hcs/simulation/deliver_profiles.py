"""Writes a simulated table of profiles, with its truth beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Final

import polars as pl

from hcs.io.storage import join, write_atomically
from hcs.io.tables import write_table
from hcs.simulation.profiles import Nuisances, ProfileDesign, ProfileScreen, simulate_profiles

BATCH_EFFECTS: Final = {
    "none": Nuisances(plate_shift=0.5, gradient=0.3),
    "weak": Nuisances(
        batch_shift=0.5, batch_log_scale=0.1, batch_mixing=0.3, batch_variation=0.3, plate_shift=0.5, gradient=0.3
    ),
    "medium": Nuisances(
        batch_shift=1.0, batch_log_scale=0.2, batch_mixing=0.6, batch_variation=0.7, plate_shift=0.5, gradient=0.3
    ),
    "strong": Nuisances(
        batch_shift=2.0, batch_log_scale=0.4, batch_mixing=1.0, batch_variation=1.5, plate_shift=0.5, gradient=0.3
    ),
}
"""How strong batches differ, by name, in standard deviations of a feature between wells of one treatment."""

METADATA: Final = "Metadata_"
"""What columns that are no features begin with, by the field's convention."""


def profile_design(
    *, batches: int, plates: int, wells: int, features: int, batch_effect: str, is_confounded: bool = False
) -> ProfileDesign:
    """Return a screen whose plates are full: a twelfth of the wells negative controls, a fortieth positive ones.

    Args:
        batches: Batches of the screen.
        plates: Plates of a batch.
        wells: Of a plate: 24, 48, 96, 384 or 1536.
        features: Of a profile.
        batch_effect: One of `BATCH_EFFECTS`.
        is_confounded: Whether each compound is in one batch alone.

    Raises:
        UsageError: If such a screen cannot be.
    """
    n_negcon, n_poscon = wells // 12, wells // 40
    treated = wells - n_negcon - n_poscon
    return ProfileDesign(
        n_batches=batches,
        n_plates=plates,
        n_wells=wells,
        n_features=features,
        n_compounds=treated * (batches if is_confounded else 1),
        n_mechanisms=max(1, treated // 16),
        n_negcon=n_negcon,
        n_poscon=n_poscon,
        is_confounded=is_confounded,
        nuisances=BATCH_EFFECTS[batch_effect],
    )


def deliver_profiles(out_uri: str, *, design: ProfileDesign, seed: int) -> ProfileScreen:
    """Write `profiles.parquet`, and `truth/compounds.parquet` and `truth/design.json` beside it; return what they hold.

    Columns of wells begin with `Metadata_`, and features are called `feature_0001` and so on. The same design and seed
    give the same bytes.

    Args:
        out_uri: Folder or URL; made where it does not exist. Files of another screen are replaced.
        design: What the screen consists of.
        seed: Everything of the screen follows from it.

    Raises:
        StorageError: If something cannot be written.
    """
    screen = simulate_profiles(design, seed=seed)
    wells = screen.wells.rename({name: f"{METADATA}{name}" for name in screen.wells.columns})
    names = [f"feature_{number:04d}" for number in range(1, design.n_features + 1)]
    write_table(wells.hstack(pl.DataFrame(screen.profiles, schema=names)), join(out_uri, "profiles.parquet"))
    write_table(screen.truth, join(out_uri, "truth/compounds.parquet"))
    said = json.dumps({"seed": seed, "design": asdict(design)}, indent=2, sort_keys=True)
    write_atomically(join(out_uri, "truth/design.json"), said.encode() + b"\n")
    return screen
