"""The audit on screens whose batch effect is known, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hcs.errors import InputRejectedError
from hcs.profiling.audit.audit import BY_SIMPLICITY, Audit, MethodAudit, audit_profiles
from hcs.profiling.audit.told import as_object, method_table, sentences, verdict
from hcs.profiling.corrections.correction import Corrected, Design
from hcs.profiling.corrections.registry import CORRECTIONS
from hcs.statistics.permutation import permutation_test

METHODS = {name: CORRECTIONS[name] for name in BY_SIMPLICITY}
FEW = {name: CORRECTIONS[name] for name in ("none", "combat", "harmony")}


def _of(made: Audit, method: str) -> MethodAudit:
    return next(one for one in made.methods if one.method == method)


def test_a_strong_batch_effect_is_corrected_and_the_other_half_of_the_compounds_gains(prepared: Callable) -> None:
    made = audit_profiles(*prepared("strong", seed=901), corrections=METHODS)

    picked = _of(made, made.choice.method)
    assert picked.method != "none"
    assert picked.gain.low > 0
    assert picked.mixing.diversity > _of(made, "none").mixing.diversity
    assert picked.biology.distance > _of(made, "none").biology.distance
    assert made.n_chosen_on + made.n_reported == 42
    assert "baseline" in verdict(made)


def test_without_a_batch_effect_nothing_is_corrected(prepared: Callable) -> None:
    picks = [audit_profiles(*prepared("none", seed=seed), corrections=FEW, with_figures=False) for seed in range(5)]

    assert [made.choice.method for made in picks].count("none") >= 4


def test_confounded_batches_are_not_corrected_and_nothing_is_claimed(prepared: Callable) -> None:
    made = audit_profiles(*prepared("strong", is_confounded=True), corrections=FEW)

    assert made.is_confounded
    assert made.choice.method == "none"
    assert "nothing is claimed" in verdict(made)
    assert any("confounded but for a few: 2 of 162" in sentence for sentence in sentences(made))


def test_one_batch_has_nothing_to_correct(prepared: Callable) -> None:
    made = audit_profiles(*prepared("strong", n_batches=1), corrections=FEW)

    assert [one.method for one in made.methods] == ["none"]
    assert any("one batch" in sentence for sentence in sentences(made))


def test_an_identical_layout_is_said_and_controls_that_share_positions_stand_beside(prepared: Callable) -> None:
    values, wells = prepared("none", layout="fixed")
    rng = np.random.default_rng(0)
    offsets = rng.normal(size=(wells.positions.max() + 1, values.shape[1]))

    plain = audit_profiles(values, wells, corrections={})
    shifted = audit_profiles(values + offsets[wells.positions], wells, corrections={})

    assert any("layout is identical" in sentence for sentence in sentences(plain))
    assert any("no perturbation has replicates in different positions" in note for note in plain.notes)
    matched = [_of(made, "none").biology for made in (plain, shifted)]
    assert matched[0].position_matched < 2.5 * matched[0].position_matched_expected
    assert matched[1].position_matched > 6 * matched[1].position_matched_expected


def test_choosing_does_not_look_at_the_half_that_is_reported(prepared: Callable) -> None:
    values, wells = prepared("medium")
    made = audit_profiles(values, wells, corrections=FEW, with_figures=False)

    def spoiling(v: np.ndarray, design: Design) -> Corrected:
        """Spoil the wells of perturbations that are reported on alone."""
        halves = _halves_of(made, wells)
        noise = np.random.default_rng(0).normal(size=v.shape) * 50
        return Corrected(np.where(np.isin(design.perturbations, halves)[:, None], noise, v), "nothing", 0)

    spoilt = audit_profiles(values, wells, corrections={**FEW, "spoilt": spoiling}, with_figures=False)

    assert _of(spoilt, "spoilt").reported.mean < _of(spoilt, "none").reported.mean / 2
    assert _of(spoilt, "spoilt").chosen_on == pytest.approx(_of(spoilt, "none").chosen_on, rel=0.1)


def _halves_of(made: Audit, wells: object) -> np.ndarray:
    from hcs.profiling.audit.wells import perturbation_order

    numbers = np.unique(wells.design.perturbations[wells.is_treated])
    order = perturbation_order(wells.perturbations, seed=made.seed)
    order = order[np.isin(order, numbers)]
    return order[len(order) // 2 :]


@pytest.mark.parametrize("method", ["combat", "harmony"])
def test_compounds_that_do_nothing_stay_uncalled_after_what_the_audit_may_pick(prepared: Callable, method: str) -> None:
    p_values = []
    for seed in range(3):
        values, wells = prepared("strong", seed=seed, active=0.0)
        design = wells.design
        corrected = CORRECTIONS[method](values, design).values.astype(np.float64)
        for compound in np.unique(design.perturbations[wells.is_treated])[:42]:
            if wells.perturbations[compound].startswith("poscon"):
                continue
            is_own = design.perturbations == compound
            pool = is_own | design.is_negcon
            found = permutation_test(corrected[pool], design.plates[pool], is_own[pool], seed=0, max_draws=499)
            p_values.append(found.p_value)

    share = np.mean(np.array(p_values) <= 0.05)

    assert len(p_values) == 120
    assert share <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / len(p_values))


def test_rows_in_another_order_give_the_same_audit(prepared: Callable) -> None:
    values, wells = prepared("medium")
    order = np.random.default_rng(0).permutation(len(values))
    design = wells.design
    turned = replace(
        wells,
        design=replace(
            design,
            plates=design.plates[order],
            batches=design.batches[order],
            perturbations=design.perturbations[order],
            is_negcon=design.is_negcon[order],
            is_fitted=design.is_fitted[order],
            rows=design.rows[order],
            columns=design.columns[order],
        ),
        positions=wells.positions[order],
        factors={name: levels[order] for name, levels in wells.factors.items()},
        mechanisms=tuple(np.array(wells.mechanisms)[order]),
    )

    one = audit_profiles(values, wells, corrections={"combat": CORRECTIONS["combat"]})
    other = audit_profiles(values[order], turned, corrections={"combat": CORRECTIONS["combat"]})

    assert one.choice == other.choice
    left, right = (method_table(made).drop("fitted_on", "refused", "method") for made in (one, other))
    np.testing.assert_allclose(left.cast(float).to_numpy(), right.cast(float).to_numpy(), rtol=1e-6, atol=1e-9)


def test_a_method_that_cannot_be_applied_is_a_row_with_its_reason(prepared: Callable) -> None:
    values, wells = prepared("weak")
    without = replace(wells, design=replace(wells.design, is_fitted=np.zeros(len(values), dtype=np.bool_)))

    made = audit_profiles(values, without, corrections={"tvn": CORRECTIONS["tvn"]})

    assert "negative controls" in _of(made, "tvn").refused
    assert as_object(made)["methods"][1]["retrieval"] is None


def test_more_wells_than_figures_are_made_of_are_thinned_by_perturbation_and_it_is_said(prepared: Callable) -> None:
    made = audit_profiles(*prepared("medium"), corrections={}, most_wells=160)

    assert made.n_chosen_on + made.n_reported == 20
    assert "20 of 42 perturbations" in made.notes[0]


def test_missing_values_and_wells_without_a_perturbation_are_refused(prepared: Callable) -> None:
    values, wells = prepared("weak")
    holed = values.copy()
    holed[3, 5] = np.nan

    with pytest.raises(InputRejectedError, match="row 3, feature 5"):
        audit_profiles(holed, wells, corrections={})
    unnamed = replace(wells, design=replace(wells.design, perturbations=np.full(len(values), -1)))
    with pytest.raises(InputRejectedError, match="none of 496 wells"):
        audit_profiles(values, unnamed, corrections={})
