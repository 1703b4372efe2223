from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.blocklist import CELLPROFILER_BLOCKLIST
from hcs.profiling.select import STEPS, Cutoffs, select_features


def profiles_of(seed: int, *, n: int = 60, d: int = 12) -> np.ndarray:
    """Correlated features, some of them counts."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 4)) @ rng.normal(size=(4, d)) + 0.3 * rng.normal(size=(n, d))
    values[:, :3] = np.round(values[:, :3])
    return values


NAMES = [f"f{i}" for i in range(12)]
PERTURBATIONS = [f"drug{i // 3}" for i in range(60)]


@pytest.mark.parametrize("step", STEPS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=10)
def test_the_order_of_the_wells_changes_no_feature(step, seed):
    values, order = profiles_of(seed), np.random.default_rng(seed).permutation(60)
    cutoffs = Cutoffs(variance=1.0, outlier=3.0, correlation=0.8)

    one = select_features(values, NAMES, steps=[step], cutoffs=cutoffs, perturbations=PERTURBATIONS)
    other = select_features(
        values[order], NAMES, steps=[step], cutoffs=cutoffs, perturbations=[PERTURBATIONS[row] for row in order]
    )

    assert one.kept.tolist() == other.kept.tolist()


@pytest.mark.parametrize("step", ["correlation", "frequency"])
@given(seed=st.integers(0, 2**32 - 1), factor=st.sampled_from([0.25, 8.0]), shift=st.integers(-64, 64))
@settings(deadline=None, max_examples=10)
def test_units_and_offsets_change_no_feature(step, seed, factor, shift):
    values = np.round(profiles_of(seed) * 256) / 256  # so that unit and offset are exact

    one, other = (select_features(x, NAMES, steps=[step]) for x in (values, values * factor + shift))

    assert one.kept.tolist() == other.kept.tolist()


def test_a_report_says_of_every_feature_by_which_step_it_went_and_why():
    values = profiles_of(0)
    values[:, 3] = values[:, 4] * 2.0
    values[:, 5] = 1.0
    values[0, 6] = 1e4
    values[:10, 7] = np.nan
    names = [*NAMES[:8], "Nuclei_Granularity_14_ER", *NAMES[9:]]

    report = select_features(
        values,
        names,
        steps=["variance", "drop_outliers", "drop_na", "blocklist", "correlation"],
        cutoffs=Cutoffs(correlation=0.9999),
    ).report

    gone = {row["feature"]: (row["step"], row["reason"]) for row in report.filter(~report["is_kept"]).to_dicts()}
    assert set(gone) == {"f4", "f5", "f6", "f7", "Nuclei_Granularity_14_ER"}
    assert gone["f5"] == ("variance", "its variance 0 is not above 1e-06")
    assert gone["f6"] == ("drop_outliers", "a value is 1e+04 in size, above 500")
    assert gone["f7"] == ("drop_na", "16.7% of its values are missing, more than 5.0%")
    assert gone["Nuclei_Granularity_14_ER"][0] == "blocklist"
    assert gone["f4"][1].startswith("it correlates 1.000 with f3, above 0.9999")
    assert report.filter("is_kept")["reason"].null_count() == report["is_kept"].sum()


def test_of_two_equal_features_the_later_one_goes_and_of_two_opposite_ones_none():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 3))
    values = np.column_stack([values[:, 0], values[:, 0], -values[:, 1], values[:, 1], values[:, 2]])

    assert select_features(values, list("abcde"), steps=["correlation"]).kept.tolist() == [
        True,
        False,
        True,
        True,
        True,
    ]


def test_the_blocklist_has_three_families_over_five_stains():
    assert len(CELLPROFILER_BLOCKLIST) == 55


def test_a_step_looks_at_what_the_ones_before_have_left():
    values = profiles_of(1)
    values[:, 1] = values[:, 0]
    steps = ["drop_outliers", "correlation"]
    values[0, :2] = [600.0, 600.0]

    assert not select_features(values, NAMES, steps=steps).kept[:2].any()
    assert select_features(values, NAMES, steps=["correlation"]).kept[0]


def test_no_feature_may_be_left_and_that_is_said_and_not_raised():
    selection = select_features(
        np.ones((5, 2)), ["a", "b"], steps=["variance", "correlation", "noise_removal"], perturbations=["x"] * 5
    )

    assert not selection.kept.any()
    assert selection.report["step"].to_list() == ["variance", "variance"]


def test_wells_without_a_perturbation_are_no_replicates():
    rng = np.random.default_rng(0)
    values = np.vstack([rng.normal(scale=0.1, size=(6, 1)), rng.normal(scale=50, size=(6, 1))])
    named = ["x", "x", "x", "y", "y", "y"]

    assert select_features(values, ["a"], steps=["noise_removal"], perturbations=[*named, *[None] * 6]).kept.all()
    assert not select_features(values, ["a"], steps=["noise_removal"], perturbations=[*named, *named]).kept.any()
    with pytest.raises(InputRejectedError, match="none is"):
        select_features(values, ["a"], steps=["noise_removal"], perturbations=[None] * 12)


def test_columns_named_like_sql_are_columns():
    name = "'; DROP TABLE features; --"

    report = select_features(profiles_of(0)[:, 3:5], [name, "b"], steps=["variance"]).report

    assert report["feature"].to_list() == [name, "b"]


def test_what_cannot_be_meant_is_refused():
    values = profiles_of(0)

    with pytest.raises(UsageError, match="the step 'variance_threshold' is not known"):
        select_features(values, NAMES, steps=["variance_threshold"])
    with pytest.raises(UsageError, match="say what was done to each well"):
        select_features(values, NAMES, steps=["noise_removal"])
    with pytest.raises(UsageError, match=r"correlation is a share from 0 to 1, but 1\.5 came"):
        Cutoffs(correlation=1.5)
    with pytest.raises(InputRejectedError, match="11 names"):
        select_features(values, NAMES[:-1], steps=["variance"])
    with pytest.raises(InputRejectedError, match="0 rows to look at"):
        select_features(values, NAMES, steps=["variance"], is_fitted=np.zeros(60, dtype=bool))
