"""From stop 5 on, nothing that should not matter does: whole stops 5 and 6 as a run performs them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from hcs.pipeline.results import RunResults, make_results
from hcs.pipeline.well_table import WellTable
from schemas.screen import PlateEntry, ProfileConfig, ScreenConfig

CONFIG = ScreenConfig(screen="laws", plates=(PlateEntry(uri="x"),))
N_FEATURES = {"first": 24, "second": 8}
SHOWN = [
    "perturbation",
    "control_type",
    "profile",
    "n_replicates",
    "n_controls",
    "call",
    "is_hit",
    "explained_by_count",
]
NUMBERS = ["mean_average_precision", "p_value", "smallest_possible_p", "q_value"]


def make_table(seed: int, *, n_plates: int, n_negcon: int, n_compounds: int = 6) -> WellTable:
    """Simulated wells: half of the compounds shift features, every plate has an offset and a gain of its own."""
    rng = np.random.default_rng(seed)
    names = ["DMSO"] * n_negcon + [f"C{index}" for index in range(n_compounds)] * 2 + ["P"] * 2
    kinds = ["negcon"] * n_negcon + ["treatment"] * (2 * n_compounds) + ["poscon"] * 2
    rows, blocks = [], {name: [] for name in N_FEATURES}
    for plate in range(n_plates):
        for index, well in enumerate(rng.permutation(len(names))):
            rows.append((f"plate{plate}", f"{'ABCDEFGH'[index // 12]}{index % 12 + 1:02d}", names[well], kinds[well]))
        chosen = [row[2] for row in rows[-len(names) :]]
        for block, n_features in N_FEATURES.items():
            effects = np.random.default_rng(len(block)).normal(size=(n_compounds + 1, n_features))
            shift = np.array(
                [effects[int(n[1:])] * (int(n[1:]) % 2) if n[0] == "C" else effects[-1] * (n == "P") for n in chosen]
            )
            noise = rng.normal(size=(len(names), n_features))
            blocks[block].append((noise + 1.5 * shift) * rng.uniform(0.5, 2) + rng.normal(size=n_features))
    wells = pl.DataFrame(rows, schema=["plate", "well", "perturbation", "control_type"], orient="row").with_columns(
        batch=pl.col("plate"),
        concentration_micromolar=pl.lit(None, dtype=pl.Float64),
        dose_step=pl.lit(None, dtype=pl.Float64),
        name=pl.lit(None, dtype=pl.String),
        smiles=pl.lit(None, dtype=pl.String),
        mechanism=pl.when(pl.col("perturbation").is_in(["C1", "C3"])).then(pl.lit("m")),
        excluded_reason=pl.lit(None, dtype=pl.String),
        cell_count=pl.Series(rng.poisson(60, len(rows)).astype(float)),
    )
    return WellTable(wells=wells, embeddings={name: np.concatenate(block) for name, block in blocks.items()})


def results_of(table: WellTable, *, combine: tuple[str, ...] | None = None) -> RunResults:
    config = CONFIG.model_copy(update={"profile": ProfileConfig(combine=combine)})
    with threadpool_limits(limits=1):
        return make_results(table, config=config)


def assert_same_calls(one: RunResults, other: RunResults) -> None:
    keys = ["profile", "control_type", "perturbation"]
    ours, theirs = one.calls.sort(keys), other.calls.sort(keys)
    assert ours.select(SHOWN).equals(theirs.select(SHOWN))
    for name in NUMBERS:
        np.testing.assert_allclose(ours[name].to_numpy(), theirs[name].to_numpy(), rtol=1e-9, err_msg=name)
    mechanisms = [*keys, "mechanism", "mechanism_source", "predicted_mechanism"]
    assert ours.select(mechanisms).equals(theirs.select(mechanisms))


layouts = st.sampled_from(
    [{"n_plates": 3, "n_negcon": 16}, {"n_plates": 2, "n_negcon": 6}, {"n_plates": 1, "n_negcon": 8}]
)
laws = settings(deadline=None, max_examples=8)


@laws
@given(seed=st.integers(0, 99), layout=layouts, power=st.integers(-12, 12), shift=st.floats(-1e3, 1e3), data=st.data())
def test_shifting_or_scaling_a_feature_changes_no_call(
    seed: int, layout: dict[str, int], power: int, shift: float, data: st.DataObject
) -> None:
    table = make_table(seed, **layout)
    block = data.draw(st.sampled_from(sorted(N_FEATURES)))
    changed = table.embeddings[block].copy()
    feature = data.draw(st.integers(0, N_FEATURES[block] - 1))
    changed[:, feature] = (changed[:, feature] + shift) * 2.0**power

    assert_same_calls(results_of(table), results_of(replace(table, embeddings={**table.embeddings, block: changed})))


@laws
@given(seed=st.integers(0, 99), layout=layouts)
def test_permuting_wells_changes_no_call(seed: int, layout: dict[str, int]) -> None:
    table = make_table(seed, **layout)
    order = np.random.default_rng(seed).permutation(table.wells.height)
    permuted = WellTable(
        wells=table.wells[order], embeddings={name: block[order] for name, block in table.embeddings.items()}
    )

    assert_same_calls(results_of(table), results_of(permuted))


@laws
@given(seed=st.integers(0, 99), layout=layouts)
def test_renaming_plates_changes_no_call(seed: int, layout: dict[str, int]) -> None:
    table = make_table(seed, **layout)
    names = dict(zip(sorted(table.wells["plate"].unique()), ["zz", "0001", "Müller 3"], strict=False))
    renamed = replace(table, wells=table.wells.with_columns(pl.col("plate").replace_strict(names)))

    assert_same_calls(results_of(table), results_of(renamed))


@laws
@given(seed=st.integers(0, 99), layout=layouts)
def test_a_baseline_beside_the_combined_encoders_changes_no_bit_of_their_results(
    seed: int, layout: dict[str, int]
) -> None:
    table = make_table(seed, **layout)
    noise = np.random.default_rng(seed).normal(size=(table.wells.height, 11))
    wider = replace(table, embeddings={"a baseline": noise, **table.embeddings, "zero": 0 * noise})

    alone, made = results_of(table), results_of(wider, combine=tuple(table.embeddings))

    assert sorted(made.profiles) == ["a baseline", "combined", "first", "second"]
    for name, profiles in alone.profiles.items():
        assert made.profiles[name].tobytes() == profiles.tobytes(), name
    assert made.calls.filter(pl.col("profile") != "a baseline").equals(alone.calls)
    assert made.neighbours.filter(pl.col("profile") != "a baseline").equals(alone.neighbours)


def test_without_a_usable_encoder_to_combine_the_baselines_are_called_and_a_note_says_so() -> None:
    table = make_table(4, n_plates=3, n_negcon=16)
    blank = replace(table, embeddings={**table.embeddings, "first": np.ones_like(table.embeddings["first"])})

    results = results_of(blank, combine=("first",))

    assert list(results.profiles) == ["second"]
    assert set(results.calls["profile"]) == {"second"}
    assert "there is no profile `combined`" in "\n".join(results.notes)


def test_the_calls_that_the_laws_compare_are_not_all_alike() -> None:
    calls = results_of(make_table(1, n_plates=3, n_negcon=16)).calls.filter(pl.col("profile") == "combined")

    assert {"active", "inactive"} <= set(calls["call"].cast(pl.String))


def test_the_order_of_the_seed_changes_draws_but_the_result_is_the_same_every_time() -> None:
    table = make_table(3, n_plates=3, n_negcon=16)

    assert results_of(table).calls.equals(results_of(table).calls)


def test_excluded_empty_and_unknown_wells_change_nothing_for_the_others() -> None:
    table = make_table(5, n_plates=2, n_negcon=16)
    extra = table.wells.head(3).with_columns(
        well=pl.Series(["H10", "H11", "H12"]),
        control_type=pl.Series(["treatment", "empty", None]),
        excluded_reason=pl.Series(["bubble", None, None]),
    )
    wider = WellTable(
        wells=pl.concat([table.wells, extra]),
        embeddings={name: np.concatenate([block, block[:3] + 100]) for name, block in table.embeddings.items()},
    )

    assert_same_calls(results_of(table), results_of(wider))


@pytest.mark.parametrize("fill", [0.0, 7.0])
def test_blank_images_end_in_a_note_and_not_in_calls(fill: float) -> None:
    table = make_table(0, n_plates=1, n_negcon=4)
    blank = {name: np.full_like(block, fill) for name, block in table.embeddings.items()}

    results = results_of(replace(table, embeddings=blank))

    assert results.calls.is_empty()
    assert "nothing is called" in results.notes[0]


def test_a_run_tells_once_of_negative_controls_that_lie_at_the_edge_alone() -> None:
    table = make_table(0, n_plates=2, n_negcon=8)
    places = {
        "negcon": [f"{row}01" for row in "ABCDEFGH"],
        "treatment": [f"{row}{column:02d}" for row in "BCDE" for column in (3, 5, 7)],
        "poscon": ["F06", "H12"],
    }
    kinds = table.wells["control_type"].to_list()
    wells = [places[kind][kinds[:row].count(kind) % len(places[kind])] for row, kind in enumerate(kinds)]
    edge = table.wells.with_columns(well=pl.Series(wells))

    notes = results_of(replace(table, wells=edge)).notes

    told = [note for note in notes if "outermost rows and columns" in note]
    assert len(told) == 1
    assert told[0].startswith("treatments inside 2 plates (plate0, plate1)")
    assert not [note for note in results_of(table).notes if "outermost" in note]


def test_where_controls_are_doubted_a_run_says_how_hits_stand_against_the_middle_of_their_plates() -> None:
    """Controls that lie apart from all other wells: everything is a hit, and hardly anything is left of it."""
    rng = np.random.default_rng(0)
    table = make_table(0, n_plates=4, n_negcon=16, n_compounds=24)
    apart = (table.wells["control_type"] == "negcon").to_numpy()
    blocks = {
        name: rng.normal(size=block.shape) + 4 * apart[:, None] * rng.normal(size=block.shape[1])
        for name, block in table.embeddings.items()
    }

    results = results_of(replace(table, embeddings=blocks))

    (told,) = [note for note in results.notes if "middle of its plates" in note and "combined" in note]
    hits = results.calls.filter(
        (pl.col("profile") == "combined") & pl.col("is_hit") & (pl.col("control_type") == "treatment")
    )
    assert hits.height >= 20
    assert f"instead of {hits['effect'].median():.2f}; less than half is left of {hits.height} of {hits.height}" in told
    assert not [note for note in results_of(table).notes if "middle of its plates" in note]
