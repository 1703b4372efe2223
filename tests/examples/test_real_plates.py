"""The example writes screens that are accepted."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from hcs.io.acceptance import accept
from hcs.io.layouts import read_delivery
from hcs.io.platemaps import read_plate_wells
from hcs.io.screen import load_screen
from schemas.acceptance import FindingKind, Verdict

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "real_plates.py"


@pytest.fixture(scope="module")
def screens(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example wrote."""
    out = tmp_path_factory.mktemp("real")
    weights = out / "w.safetensors"
    weights.touch()
    subprocess.run([sys.executable, SCRIPT, real_data, out, "--weights", weights], check=True)
    return out


@pytest.mark.parametrize(
    ("name", "plates", "controls"),
    [
        ("sbs_foxo", ["sbs_foxo_plate"], {"negcon": 8, "poscon": 4, "treatment": 36}),
        ("imagehts", ["PK-10B-pl1", "PK-11B-pl1"], {"negcon": 4, "poscon": 4, "treatment": 4}),
    ],
)
def test_the_screens_are_accepted(screens: Path, name: str, plates: list[str], controls: dict[str, int]) -> None:
    config = load_screen(str(screens / name / "SCREEN.yaml"))
    wells = read_plate_wells(config, plates)

    for entry, plate in zip(config.plates, plates, strict=True):
        report = accept(read_delivery(entry, config), wells, config=config)

        assert (report.plate, report.verdict) == (plate, Verdict.ACCEPT)
        assert FindingKind.FEW_NEGATIVE_CONTROLS in {finding.kind for finding in report.findings}
    assert Counter(wells["control_type"]) == controls
    assert config.encoders[0].mean == (0.5, 0.5, 0.5)


def test_doses_are_steps_and_never_concentrations(screens: Path) -> None:
    wells = pl.DataFrame(read_plate_wells(load_screen(str(screens / "sbs_foxo" / "SCREEN.yaml")), ["sbs_foxo_plate"]))

    assert wells["concentration_micromolar"].null_count() == wells.height
    treated = wells.filter(pl.col("control_type") == "treatment")
    assert treated["dose_step"].value_counts().sort("dose_step").rows() == [(float(step), 4) for step in range(1, 10)]


def test_sirnas_are_called_after_their_genes(screens: Path) -> None:
    config = load_screen(str(screens / "imagehts" / "SCREEN.yaml"))
    wells = pl.DataFrame(read_plate_wells(config, ["PK-10B-pl1"]))

    assert dict(wells.select("well", "perturbation").iter_rows()) == {
        "A03": "UBC",
        "B03": "UBC",
        "C03": "RLUC",
        "D03": "RLUC",
        "A05": "AAK1",
        "B05": "PLK3",
    }
    assert [plate.batch for plate in config.plates] == ["PK-10B-pl1", "PK-11B-pl1"]
