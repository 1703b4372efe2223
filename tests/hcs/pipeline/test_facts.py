"""What a run knows of its wells beside their profiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.hits.fluorescence import channels_of_embeddings
from hcs.pipeline.facts import facts_of_wells
from hcs.pipeline.results import make_results
from hcs.pipeline.well_table import WellTable
from hcs.profiling.profiles import build_profiles
from schemas.screen import ScreenConfig

CHANNELS = ("AGP", "DNA", "ER")
CONFIG = ScreenConfig.model_validate(
    {"screen": "facts", "plates": [{"uri": "P0"}], "encoders": [{"name": "one"}, {"name": "two"}]}
)


def glowing_table(*, n_plates: int = 4, n_features: int = 6) -> WellTable:
    """Plates of 16 controls and 3 compounds: one glows in ER, one changes everything, one does nothing."""
    rng = np.random.default_rng(1)
    names = ["DMSO"] * 16 + ["glows", "changes", "nothing"]
    shape = (n_plates, len(names), len(CHANNELS), n_features)
    embeddings = {}
    for encoder in ("one", "two"):
        values = rng.normal(size=shape)
        values[:, 16, CHANNELS.index("ER")] += 4 * rng.normal(size=n_features)
        values[:, 17] += 4 * rng.normal(size=shape[2:])
        embeddings[encoder] = values.reshape(n_plates * len(names), -1).astype(np.float32)
    wells = pl.DataFrame(
        {
            "plate": [f"P{plate}" for plate in range(n_plates) for _ in names],
            "well": [f"A{i + 1:02d}" for _ in range(n_plates) for i in range(len(names))],
            "batch": "b",
            "perturbation": names * n_plates,
            "concentration_micromolar": pl.Series([1.0] * (n_plates * len(names))),
            "dose_step": pl.Series([None] * (n_plates * len(names)), dtype=pl.Float64),
            "control_type": (["negcon"] * 16 + ["treatment"] * 3) * n_plates,
            "excluded_reason": pl.Series([None] * (n_plates * len(names)), dtype=pl.String),
            "name": pl.Series([None] * (n_plates * len(names)), dtype=pl.String),
            "smiles": pl.Series([None] * (n_plates * len(names)), dtype=pl.String),
            "mechanism": pl.Series([None] * (n_plates * len(names)), dtype=pl.String),
            "cell_count": 100.0,
            "n_sites": 1,
            "is_flagged": [name == "changes" for name in names] * n_plates,
        }
    )
    return WellTable(wells, embeddings, CHANNELS)


def test_a_run_says_of_a_hit_in_which_channel_it_shows_and_whether_its_images_are_bad() -> None:
    calls = make_results(glowing_table(), config=CONFIG).calls

    for profile in ("combined", "one", "two"):
        hits = {row["perturbation"]: row for row in calls.filter(profile=profile).iter_rows(named=True)}
        assert (hits["glows"]["channel"], hits["glows"]["channel_verdict"]) == ("ER", "one_channel")
        assert hits["changes"]["channel_verdict"] == "several_channels"
        assert (hits["glows"]["quality_verdict"], hits["changes"]["quality_verdict"]) == ("as_controls", "flagged_more")
        assert (hits["changes"]["n_flagged"], hits["changes"]["flagged_share_of_controls"]) == (4, 0.0)
        assert not hits["nothing"]["is_hit"]
        assert hits["nothing"]["channel_verdict"] is None


def test_where_neither_is_known_neither_is_said() -> None:
    known = glowing_table()

    calls = make_results(replace(known, wells=known.wells.drop("is_flagged"), channels=()), config=CONFIG).calls

    hits = calls.filter("is_hit")
    assert set(hits["channel_verdict"]) == set(hits["quality_verdict"]) == {"cannot_tell"}
    expected = make_results(known, config=CONFIG).calls
    assert hits["p_position"].to_list() == expected.filter("is_hit")["p_position"].to_list()


def test_columns_follow_what_was_kept_of_each_embedding() -> None:
    first, second = np.array([1, 0, 1, 1, 1, 1], bool), np.array([0, 0, 1, 0, 1, 1, 0, 1, 1], bool)

    found = channels_of_embeddings([first, second], ["a", "b", "c"])

    # (2 features a channel: a b b c c), (3 features: b b b c c), of which the second's third column is a's
    assert {name: columns.tolist() for name, columns in found.items()} == {
        "a": [0, 5], "b": [1, 2, 6, 7], "c": [3, 4, 8, 9],
    }  # fmt: skip


@pytest.mark.parametrize("channels", [[], ["a", "b", "c", "d"]])
def test_an_embedding_of_other_channels_is_refused(channels: list[str]) -> None:
    with pytest.raises(InputRejectedError, match="as many features for each of the channels"):
        channels_of_embeddings([np.ones(6, bool)], channels)


def test_facts_of_combined_are_of_the_encoders_that_make_it() -> None:
    table = glowing_table()
    profiles = build_profiles(
        table.wells, table.embeddings, config=CONFIG.profile.model_copy(update={"combine": ("two",)})
    )

    combined, alone = (
        facts_of_wells(profiles, name, table.wells, channels=CHANNELS).scaled for name in ("combined", "two")
    )

    assert combined is not None
    assert alone is not None
    rows = np.arange(5)
    np.testing.assert_array_equal(combined.of(rows), alone.of(rows))
    assert sum(map(len, combined.channels.values())) == combined.of(rows).shape[1]
