"""Small simulated screens, ready to be audited."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from hcs.profiling.audit.wells import AuditColumns, AuditWells, audit_wells
from hcs.profiling.normalize import robust_z
from hcs.profiling.sphere import fit_sphering, sphere
from hcs.simulation.deliver_profiles import BATCH_EFFECTS
from hcs.simulation.profiles import ProfileDesign, simulate_profiles

Prepared = tuple[NDArray[np.floating], AuditWells]


@cache
def _prepared(*, effect: str, is_confounded: bool, seed: int, n_batches: int, layout: str, active: float) -> Prepared:
    design = ProfileDesign(
        n_batches=n_batches,
        n_plates=2,
        n_wells=96,
        n_features=50,
        n_compounds=40 * (n_batches if is_confounded else 1),
        n_mechanisms=4,
        active_share=active,
        effect=0.9,
        n_negcon=20,
        n_poscon=2,
        is_confounded=is_confounded,
        well_layout="fixed" if layout == "fixed" else "shuffled",
        nuisances=BATCH_EFFECTS[effect],
    )
    screen = simulate_profiles(design, seed=seed)
    every = np.ones(screen.wells.height, dtype=np.bool_)
    plates = screen.wells["plate"].to_numpy().astype(np.str_)
    normalized = robust_z(screen.profiles, plates=plates, is_negcon=every, is_fitted=every, encoder="simulated").values
    values = sphere(normalized, fit_sphering(normalized))
    columns = AuditColumns(
        batch="batch", perturbation="perturbation", plate="plate", well="well", mechanism="mechanism"
    )
    is_negcon = (screen.wells["control_type"] == "negcon").to_numpy()
    return values, audit_wells(screen.wells, values, columns=columns, is_negcon=is_negcon)


@pytest.fixture
def prepared() -> Callable[..., Prepared]:
    """Return a maker of sphered profiles and their wells: `prepared("strong")`."""

    def make(
        effect: str,
        *,
        is_confounded: bool = False,
        seed: int = 900,
        n_batches: int = 4,
        layout: str = "shuffled",
        active: float = 0.5,
    ) -> Prepared:
        return _prepared(
            effect=effect, is_confounded=is_confounded, seed=seed, n_batches=n_batches, layout=layout, active=active
        )

    return make
