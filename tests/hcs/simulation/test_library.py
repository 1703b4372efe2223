import numpy as np
import pytest

from hcs.errors import UsageError
from hcs.simulation.library import (
    AXES,
    DEMO_MECHANISMS,
    MECHANISMS,
    N_AXES,
    TRAINING_MECHANISMS,
    mechanisms_named,
)


def _cosines(names: tuple[str, ...]) -> np.ndarray:
    directions = np.array([MECHANISMS[name].direction() for name in names if not MECHANISMS[name].is_count_only])
    return (directions @ directions.T)[np.triu_indices(len(directions), 1)]


def test_there_are_sixteen_axes_and_at_least_twelve_mechanisms():
    assert N_AXES == len(set(AXES)) == 16
    assert len(MECHANISMS) >= 12


def test_every_push_is_along_known_axes():
    assert {axis for mechanism in MECHANISMS.values() for axis, _ in mechanism.push} <= set(AXES)


@pytest.mark.parametrize("name", MECHANISMS)
def test_a_direction_has_length_one_unless_only_the_count_changes(name: str):
    mechanism = MECHANISMS[name]

    length = np.linalg.norm(mechanism.direction())

    assert length == pytest.approx(0.0 if mechanism.is_count_only else 1.0)


@pytest.mark.parametrize("names", [DEMO_MECHANISMS, TRAINING_MECHANISMS])
def test_mechanisms_overlap_in_degrees_but_none_is_another_one(names: tuple[str, ...]):
    cosines = np.abs(_cosines(names))

    assert cosines.max() < 0.8
    assert (cosines < 0.1).any()
    assert (cosines > 0.3).any()


def test_the_demo_has_eight_mechanisms_of_which_one_changes_only_the_count():
    assert len(DEMO_MECHANISMS) == 8
    assert [name for name in DEMO_MECHANISMS if MECHANISMS[name].is_count_only] == ["generic cytotoxicity"]


def test_training_and_demo_have_no_mechanism_in_common():
    assert not set(DEMO_MECHANISMS) & set(TRAINING_MECHANISMS)
    assert set(DEMO_MECHANISMS) | set(TRAINING_MECHANISMS) == set(MECHANISMS)


def test_an_unknown_mechanism_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"'magic' is none of them; it knows tubulin destabiliser"):
        mechanisms_named(("Eg5 inhibitor", "magic"))
