from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hcs.errors import InputRejectedError, UsageError
from hcs.lab.compare import FIGURES, compare_encoders, paired_difference, paired_differences, summarize
from hcs.pipeline.scoring import score_run
from hcs.simulation.design import ScreenDesign
from hcs.simulation.plan import lay_out_screen
from hcs.simulation.truth import treatment_truth
from schemas.encoders import EncoderInfo

SEEDS = (7, 8)

Encoders = tuple[EncoderInfo, ...]


@pytest.fixture(scope="module")
def scores(design: ScreenDesign, encoders: Encoders, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Two encoders on two small screens."""
    kept = tmp_path_factory.mktemp("kept")
    names = [info.name for info in encoders]
    return compare_encoders(encoders, design=design, seeds=SEEDS, combine=names, kept=kept)


def test_every_screen_has_a_row_a_profile(scores: pl.DataFrame, encoders: Encoders) -> None:
    names = {"combined", *(info.name for info in encoders)}

    assert scores.height == len(SEEDS) * len(names)
    assert {(row["seed"], row["profile"]) for row in scores.to_dicts()} == {(s, name) for s in SEEDS for name in names}
    assert set(FIGURES) <= set(scores.columns)
    assert scores["treatments"].unique().to_list() == [10]


def test_figures_are_those_of_a_run_that_reads_the_same_screen(
    scores: pl.DataFrame, small_run: Any, design: ScreenDesign
) -> None:
    truth = treatment_truth(lay_out_screen(design, small_run.seed))

    of_run = score_run(small_run.catalog, small_run.run, truth)

    assert any(score.hits for score in of_run.values()), "a screen without hits would say little"
    for row in scores.filter(pl.col("seed") == small_run.seed).to_dicts():
        expected = asdict(of_run[row["profile"]])
        assert {name: row[name] for name in expected} == pytest.approx(expected), row["profile"]


def test_a_baseline_has_no_part_in_what_is_combined(design: ScreenDesign, encoders: Encoders, tmp_path: Path) -> None:
    named = encoders[0].name
    alone = compare_encoders(encoders[:1], design=design, seeds=[7], combine=[named], kept=tmp_path)
    beside = compare_encoders(encoders, design=design, seeds=[7], combine=[named], kept=tmp_path)

    combined = [rows.filter(pl.col("profile") == "combined").to_dicts() for rows in (alone, beside)]
    assert combined[0] == combined[1]


@pytest.mark.parametrize("combine", [["nmaed"], ["named", "named"]])
def test_what_cannot_be_combined_is_refused_before_anything_is_computed(
    design: ScreenDesign, encoders: Encoders, combine: list[str]
) -> None:
    with pytest.raises(UsageError, match=r"of the encoders named, mobilenetv3_small_050.untrained, each is combined"):
        compare_encoders(encoders, design=design, seeds=SEEDS, combine=combine)


VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=6)


def frame(**profiles: list[float | None]) -> pl.DataFrame:
    """Scores of some profiles, the same numbers for all figures."""
    return pl.DataFrame(
        [
            {"seed": seed, "profile": name} | dict.fromkeys(FIGURES, value)
            for name, values in profiles.items()
            for seed, value in enumerate(values)
        ],
        infer_schema_length=None,
    )


@settings(deadline=None)
@given(values=VALUES)
def test_a_summary_is_a_mean_with_the_interval_of_a_t_test(values: list[float]) -> None:
    summary = summarize(frame(a=values, b=[0.5] * len(values)))

    assert summary.select("profile", "figure").rows() == [(name, figure) for name in "ab" for figure in FIGURES]
    error = stats.sem(values)
    interval = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error) if error else [values[0]] * 2
    for row in summary.filter(pl.col("profile") == "a").to_dicts():
        assert row["mean"] == pytest.approx(np.mean(values), abs=1e-12)
        assert [row["low"], row["high"]] == pytest.approx(np.clip(interval, 0, 1), abs=1e-9)
        assert row["n"] == len(values)


def test_screens_without_a_figure_do_not_count_and_what_no_screen_has_is_left_out() -> None:
    summary = summarize(frame(a=[0.5, None, 0.75], b=[None, None, None]))

    assert set(summary["profile"]) == {"a"}
    assert summary["n"].unique().to_list() == [2]
    assert summary["mean"].unique().to_list() == [0.625]


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6))
def test_differences_are_those_of_a_paired_test(pairs: list[tuple[float, float]]) -> None:
    a, b = (list(values) for values in zip(*pairs, strict=True))

    there, back = paired_differences(frame(a=a, b=b)).to_dicts()

    differences = np.subtract(a, b)
    assert (there["profile"], there["minus"], there["n"]) == ("a", "b", len(a))
    assert there["mean"] == pytest.approx(differences.mean(), abs=1e-12)
    half = stats.t.ppf(0.975, len(a) - 1) * differences.std(ddof=1) / np.sqrt(len(a))
    assert there["high"] - there["low"] == pytest.approx(2 * half, abs=1e-9)
    assert [back["mean"], back["low"], back["high"]] == pytest.approx(
        [-there["mean"], -there["high"], -there["low"]], abs=1e-12
    )


def test_only_screens_that_both_have_are_paired() -> None:
    scores = frame(a=[0.25, None, 0.75, 1.0], b=[0.5, 0.5, None, 0.75])

    found = paired_difference(scores, of="a", to="b", figure="nsc")

    assert (found["mean"], found["n"]) == (0.0, 2)
    with pytest.raises(InputRejectedError, match="needs finite values"):
        paired_difference(frame(a=[None], b=[1.0]), of="a", to="b", figure="nscb")
