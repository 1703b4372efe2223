from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from runs import perform

from hcs.catalog import get_run, open_catalog
from hcs.errors import NotFoundError
from hcs.io.screen import load_screen
from hcs.pipeline.local import LocalExecutor
from hcs.pipeline.plates import robust_z_prime, view_plate
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design


@given(shift=st.floats(-1e3, 1e3), factor=st.floats(0.01, 100), far=st.floats(1, 1e3))
def test_z_prime_does_not_know_units(shift: float, factor: float, far: float) -> None:
    rng = np.random.default_rng(0)
    negative, positive = rng.normal(size=16), far + rng.normal(size=8)

    before = robust_z_prime(negative, positive)
    after = robust_z_prime(negative * factor + shift, positive * factor + shift)

    assert before == pytest.approx(after, rel=1e-6, abs=1e-6)


def test_z_prime_is_one_without_spread_negative_when_controls_overlap_and_unknown_without_a_difference() -> None:
    assert robust_z_prime(np.zeros(4), np.ones(4)) == 1.0
    assert (robust_z_prime(np.arange(9.0), np.arange(9.0) + 1) or 0) < 0
    assert robust_z_prime(np.ones(3), np.ones(3)) is None


def test_a_plate_is_seen_with_its_controls_and_what_looks_wrong(tmp_path: Path) -> None:
    simulate_screen(str(tmp_path / "s"), design=small_design(plates=2, wells=48), seed=8)
    path = tmp_path / "s" / "SCREEN.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"encoders": ["named"]}))
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        perform(catalog, path, LocalExecutor(threads=2))
        run = get_run(catalog)
        plate = load_screen(str(path)).plates[0].barcode
        assert plate is not None

        view = view_plate(catalog, run, plate)

        assert view.wells["negcon"] == 8
        assert view.wells["poscon"] == 2
        assert (view.sites, view.sites_failed) == (48, 0)
        assert view.median_negcon_cells is not None
        assert 20 < view.median_negcon_cells < 80
        assert view.robust_z_prime is not None
        assert view.robust_z_prime < 1
        assert view.sites_flagged == view.flagged.height < 12
        with pytest.raises(NotFoundError, match="hcs status"):
            view_plate(catalog, run, "nowhere")
