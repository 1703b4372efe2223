from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from commands import digests_of, hcs

from hcs.simulation.deliver_profiles import BATCH_EFFECTS, deliver_profiles, profile_design


def design(batch_effect: str = "medium", *, is_confounded: bool = False):
    return profile_design(
        batches=2, plates=2, wells=96, features=12, batch_effect=batch_effect, is_confounded=is_confounded
    )


def test_what_is_written_is_what_was_simulated_and_the_same_bytes_again(tmp_path: Path) -> None:
    made = deliver_profiles(str(tmp_path / "a"), design=design(), seed=4)
    deliver_profiles(str(tmp_path / "b"), design=design(), seed=4)

    table = pl.read_parquet(tmp_path / "a" / "profiles.parquet")
    features = [name for name in table.columns if not name.startswith("Metadata_")]
    assert np.array_equal(table.select(features).to_numpy(), made.profiles)
    assert table["Metadata_plate"].to_list() == made.wells["plate"].to_list()
    assert pl.read_parquet(tmp_path / "a" / "truth" / "compounds.parquet").equals(made.truth)
    said = json.loads((tmp_path / "a" / "truth" / "design.json").read_text())
    assert said["design"]["nuisances"]["batch_shift"] == BATCH_EFFECTS["medium"].batch_shift
    assert digests_of(tmp_path / "a") == digests_of(tmp_path / "b")


@pytest.mark.parametrize("is_confounded", [False, True])
def test_plates_are_full(is_confounded: bool) -> None:
    made = design(is_confounded=is_confounded)

    held = made.n_compounds // (2 if is_confounded else 1)
    assert held + made.n_negcon + made.n_poscon == 96


def test_stronger_batch_effects_move_batches_farther_apart(tmp_path: Path) -> None:
    apart = []
    for name in BATCH_EFFECTS:
        made = deliver_profiles(str(tmp_path / name), design=design(name), seed=4)
        first = (made.wells["batch"] == "batch 01").to_numpy()
        apart.append(np.linalg.norm(made.profiles[first].mean(axis=0) - made.profiles[~first].mean(axis=0)))

    assert apart == sorted(apart)
    assert apart[-1] > 2 * apart[0]


def test_the_command_writes_a_table_and_refuses_options_of_the_other_level(tmp_path: Path) -> None:
    ended = hcs(
        "simulate", tmp_path / "s", "--level", "profiles", "--plates", 2, "--wells", 24, "--features", 5,
        "--batch-effect", "strong", "--seed", 2,
    )  # fmt: skip

    assert ended.code == 0, ended.err
    assert "48 wells of 2 plates" in ended.out
    assert pl.read_parquet(tmp_path / "s" / "profiles.parquet").shape == (48, 15)

    wrong = hcs("simulate", tmp_path / "t", "--level", "profiles", "--sites", 2)
    assert (wrong.code, "--sites" in wrong.err) == (2, True)
    wrong = hcs("simulate", tmp_path / "t", "--features", 5)
    assert (wrong.code, "--level profiles" in wrong.err) == (2, True)
    assert not (tmp_path / "t").exists()
