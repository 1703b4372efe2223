"""The how-to of a public plate beside copairs: its own calls on the same rows, with the figures that the page shows.

What the page tells people to type is run by `tests/hcs/cli/test_score_evidence.py`.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from hcs.statistics.configuration_null import NULL_SIZE

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def plate() -> ModuleType:
    """The script that makes the tables of the page."""
    pytest.importorskip("copairs.map", reason="copairs is the reference of this test")
    assert version("copairs") == "0.5.5", "the release that the page names"
    spec = importlib.util.spec_from_file_location("public_plate", REPOSITORY / "benchmarks" / "public_plate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shown() -> str:
    return (REPOSITORY / "docs" / "how-to" / "score-a-public-plate.md").read_text(encoding="utf-8")


def assert_within_draws(p: np.ndarray, other: np.ndarray) -> None:
    """Both are of a null of 10,000 draws of their own."""
    mean = (p + other) / 2
    assert (np.abs(p - other) <= 4.5 * np.sqrt(2 * mean * (1 - mean) / NULL_SIZE) + 2e-4).all()


@pytest.mark.filterwarnings("ignore")
def test_activity_is_that_of_copairs_and_its_figures_are_those_of_the_page(
    plate: ModuleType, shown: str, real_data: Path
) -> None:
    source, compound = str(real_data / plate.PLATE), plate.COMPOUND
    ours = pl.DataFrame(plate.activity(source, "--null", "copairs")).sort("perturbation")
    theirs = plate.activity_of_copairs(source, [compound]).sort_values(compound)
    centred = plate.activity_of_copairs(source, [compound], centred=True)
    block = plate.BLOCKS["F07 to F12"]
    as_compound = plate.activity_of_copairs(source, [compound], without=block).set_index(compound).loc["DMSO"]

    assert ours["perturbation"].to_list() == theirs[compound].to_list()
    np.testing.assert_allclose(
        ours["mean_average_precision"].to_numpy(), theirs["mean_average_precision"].to_numpy(), atol=1e-9
    )
    assert_within_draws(ours["p_value"].to_numpy(), theirs["p_value"].to_numpy())
    called = [int(ours["is_hit"].sum()), *(int(found["below_corrected_p"].sum()) for found in (theirs, centred))]
    assert f"| as delivered | 50 | {' | '.join(map(str, called))} |" in shown
    assert (as_compound["mean_average_precision"], round(as_compound["p_value"], 4)) == (1, 0.0001)
    assert "| F07 to F12 | 1.00 | .00001 | .0001 |" in shown
    assert len(plate.activity_of_copairs(source, [compound, plate.DOSE])) == 2


@pytest.mark.filterwarnings("ignore")
def test_consistency_is_that_of_copairs_and_its_figures_are_those_of_the_page(
    plate: ModuleType, shown: str, real_data: Path, tmp_path: Path
) -> None:
    doses = str(tmp_path / "doses.parquet")
    by = ("--by", plate.COMPOUND, "--by", plate.DOSE, "--by", plate.MECHANISM)
    plate.command("profiles", "consensus", str(real_data / plate.PLATE), doses, *by)
    options = ("--label", plate.MECHANISM, "--multilabel", "|", "--perturbation", plate.COMPOUND, "--null", "copairs")
    ours = pl.DataFrame(plate.command("score", "consistency", doses, *options, "--format", "json"))
    theirs = plate.consistency_of_copairs(doses).sort_values(plate.MECHANISM)

    scored = ours.drop_nulls("mean_average_precision").sort("label")
    assert scored["label"].to_list() == theirs[plate.MECHANISM].to_list()
    np.testing.assert_allclose(
        scored["mean_average_precision"].to_numpy(), theirs["mean_average_precision"].to_numpy(), atol=1e-6
    )
    assert_within_draws(scored["p_value"].to_numpy(), theirs["p_value"].to_numpy())
    assert theirs.loc[theirs["below_corrected_p"], plate.MECHANISM].to_list() == [
        "ATPase inhibitor",
        "proteasome inhibitor",
    ]
    for label, row in theirs.set_index(plate.MECHANISM).iterrows():
        mean = f"{row['mean_average_precision']:.4f}".removeprefix("0")
        assert label not in {"proteasome inhibitor", "ATPase inhibitor"} or f"| {label} | {mean} |" in shown
