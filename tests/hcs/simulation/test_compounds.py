from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.simulation.compounds import NEGCON, Action, at_dose, draw_compounds
from hcs.simulation.design import ScreenDesign, demo_design
from hcs.simulation.library import MECHANISMS

SEEDS = st.integers(0, 2**40)


def _compounds(seed: int, design: ScreenDesign | None = None):
    return [compound for compound, _ in draw_compounds(design or demo_design(), seed)]


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_the_demo_has_thirty_two_active_compounds_of_eight_mechanisms(seed: int):
    treatments = [compound for compound in _compounds(seed) if compound.control_type == "treatment"]

    counts = Counter(compound.mechanism for compound in treatments)

    assert counts.pop(None) == 44
    assert set(counts.values()) == {4}
    assert len(counts) == 8


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_annotations_do_not_tell_active_from_inactive_compounds(seed: int):
    treatments = [compound for compound in _compounds(seed) if compound.control_type == "treatment"]

    active = [compound.annotation for compound in treatments if compound.mechanism is not None]
    inactive = [compound.annotation for compound in treatments if compound.mechanism is None]

    assert sum(name is not None for name in active) / len(active) == 0.75
    assert sum(name is not None for name in inactive) / len(inactive) == 0.75
    assert set(active) == set(inactive)


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_what_is_annotated_of_an_active_compound_is_true(seed: int):
    for compound in _compounds(seed):
        if compound.mechanism is not None:
            assert compound.annotation in {None, compound.mechanism}


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_identifiers_are_unique_and_carry_no_information(seed: int):
    compounds = _compounds(seed)

    identifiers = [compound.perturbation for compound in compounds]
    numbers = np.array([int(name.removeprefix("SIM-")) for name in identifiers if name != NEGCON])

    assert len(set(identifiers)) == len(identifiers) == 76 + 2 + 1
    assert len({compound.inchikey for compound in compounds}) == len(compounds)
    assert abs(np.corrcoef(numbers, np.arange(len(numbers)))[0, 1]) < 0.6


def test_about_a_quarter_of_the_actives_is_subtle():
    actives = [compound for compound in _compounds(5) if compound.mechanism not in {None, "generic cytotoxicity"}]

    lengths = [np.linalg.norm(compound.action.push) for compound in actives if compound.control_type == "treatment"]

    assert np.mean(np.array(lengths) < 1.0) == pytest.approx(0.25)
    assert max(lengths) < 3.5


def test_a_compound_resembles_its_mechanism_more_than_any_other():
    for compound in _compounds(11):
        if compound.mechanism not in {None, "generic cytotoxicity"}:
            push = np.array(compound.action.push)
            cosines = {name: push @ other.direction() for name, other in MECHANISMS.items()}
            assert max(cosines, key=cosines.__getitem__) == compound.mechanism


def test_generic_cytotoxicity_leaves_the_survivors_as_they_were():
    killers = [compound for compound in _compounds(2) if compound.mechanism == "generic cytotoxicity"]

    assert [compound.action.viability for compound in killers] == [0.85, 0.65, 0.5, 0.35]
    assert not any(any(compound.action.push) for compound in killers)


def test_seeds_select_different_effects():
    first, second = ({c.mechanism: c.action.push for c in _compounds(seed)} for seed in (1, 2))

    assert first["HDAC inhibitor"] != second["HDAC inhibitor"]


def test_other_mechanisms_leave_no_trace_of_the_demos():
    design = ScreenDesign(mechanisms=("Eg5 inhibitor", "Golgi disruptor"), compounds_per_mechanism=10)

    names = {compound.mechanism for compound in _compounds(1, design)}

    assert names == {"Eg5 inhibitor", "Golgi disruptor", None}


def test_a_screen_that_only_kills_still_has_visible_positive_controls():
    design = ScreenDesign(mechanisms=("generic cytotoxicity",), n_inactive=10)

    controls = [compound for compound in _compounds(1, design) if compound.control_type == "poscon"]

    assert len(controls) == 2
    assert all(any(compound.action.push) for compound in controls)


def test_a_screen_without_active_compounds_can_be_drawn():
    design = ScreenDesign(mechanisms=(), n_inactive=76)

    treatments = [compound for compound in _compounds(1, design) if compound.control_type == "treatment"]

    assert {(compound.mechanism, compound.annotation) for compound in treatments} == {(None, None)}


@given(
    half=st.floats(0.01, 30),
    hill=st.floats(0.8, 3),
    doses=st.lists(st.floats(0.001, 10), min_size=2, max_size=6, unique=True),
)
@settings(deadline=None)
def test_the_response_grows_with_the_dose_and_is_complete_at_the_top(half: float, hill: float, doses: list[float]):
    compound = _compounds(0)[0]
    action = Action(push=(2.0,) + (0.0,) * 15, viability=0.5, half_concentration_micromolar=half, hill=hill)
    compound = type(compound)(**{**vars(compound), "action": action})
    top = max(doses)

    treatments = [at_dose(compound, dose, top=top) for dose in sorted(doses)]

    effects = [treatment.effect_size for treatment in treatments]
    assert effects == sorted(effects)
    assert effects[-1] == pytest.approx(2.0)
    assert treatments[-1].viability == pytest.approx(0.5)
    for treatment, dose in zip(treatments, sorted(doses), strict=True):
        expected = 2.0 * (dose**hill / (dose**hill + half**hill)) / (top**hill / (top**hill + half**hill))
        assert treatment.effect_size == pytest.approx(expected, rel=1e-6)


def test_small_effects_are_neither_active_nor_null():
    compound = _compounds(0)[0]
    weak = Action(push=(0.1,) + (0.0,) * 15)

    treatment = at_dose(type(compound)(**{**vars(compound), "action": weak}), 10.0, top=10.0)

    assert (treatment.is_active, treatment.is_null) == (False, False)
