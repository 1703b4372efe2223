import numpy as np
import pytest

from hcs.simulation.library import AXES, CHANNELS, N_AXES
from hcs.simulation.morphology import N_CHANCES, express
from hcs.simulation.render import draw_cells

SIDE = 128
N = 16


def _draw(push: dict[str, float] | None = None, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(16, SIDE, 32), np.arange(16, SIDE, 32)), axis=-1).reshape(-1, 2)
    phenotypes, chances = 0.5 * rng.standard_normal((N, N_AXES)), rng.random((N, N_CHANCES))
    for axis, shift in (push or {}).items():
        phenotypes[:, AXES.index(axis)] += shift
    return draw_cells(grid.astype(np.float32), express(phenotypes, chances), chances, side=SIDE)


def _total(image: np.ndarray, channel: str) -> float:
    return float(image[CHANNELS.index(channel)].sum())


def _changes(push: dict[str, float]) -> dict[str, float]:
    before, after = _draw(), _draw(push)
    return {channel: _total(after, channel) / _total(before, channel) for channel in CHANNELS}


def test_light_is_finite_and_never_negative():
    light = _draw()

    assert light.shape == (5, SIDE, SIDE)
    assert light.dtype == np.float32
    assert np.all(np.isfinite(light))
    assert light.min() >= 0


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_cell_is_about_as_bright_as_one(channel: str):
    light = _draw()[CHANNELS.index(channel)]

    assert 0.2 < light[light > 0.05].mean() < 2


@pytest.mark.parametrize(
    ("axis", "channel"),
    [("er_amount", "ER"), ("cytoplasmic_rna", "RNA"), ("mito_amount", "Mito"), ("stress_fibres", "AGP")],
)
def test_amounts_change_their_own_channel_most(axis: str, channel: str):
    changes = _changes({axis: 2.0})

    assert changes[channel] > 1.15
    assert max(changes, key=changes.__getitem__) == channel


@pytest.mark.parametrize("axis", AXES)
def test_every_axis_can_be_seen(axis: str):
    difference = np.abs(_draw({axis: 2.0}) - _draw()).sum(axis=(1, 2)) / _draw().sum(axis=(1, 2))

    assert difference.max() > 0.04


def test_dna_is_in_the_nucleus_and_mitochondria_are_not():
    light = _draw()
    nucleus = light[0] > 0.5

    assert 0.03 < nucleus.mean() < 0.3
    assert light[4][nucleus].mean() < 0.5 * light[4][~nucleus & (light[1] > 0.2)].mean()


def test_the_edge_of_a_cell_is_brighter_in_agp_than_what_lies_just_inside():
    quiet = {"stress_fibres": -4.0, "golgi_dispersal": -4.0}
    rng = np.random.default_rng(0)
    phenotypes, chances = np.zeros((1, N_AXES)), np.full((1, N_CHANCES), 0.4)
    for axis, shift in quiet.items():
        phenotypes[:, AXES.index(axis)] = shift
    chances[:, 0] = 0.5
    del rng

    light = draw_cells(np.array([[64, 64]], np.float32), express(phenotypes, chances), chances, side=SIDE)

    profile = light[3, 64]
    edge = np.flatnonzero(profile)[-1]
    assert profile[edge - 1] > 1.5 * profile[edge - 7]


def test_a_cell_looks_the_same_wherever_it_lies_in_the_frame():
    rng = np.random.default_rng(4)
    phenotypes, chances = rng.standard_normal((1, N_AXES)), rng.random((1, N_CHANCES))
    here, there = (
        draw_cells(np.array([centre], np.float32), express(phenotypes, chances), chances, side=SIDE)
        for centre in ([50, 50], [60, 75])
    )

    np.testing.assert_allclose(here[:, 10:90, 10:90], there[:, 20:100, 35:115], atol=1e-3)


def test_no_cells_give_no_light():
    nothing = draw_cells(
        np.zeros((0, 2), np.float32),
        express(np.zeros((0, N_AXES)), np.zeros((0, N_CHANCES))),
        np.zeros((0, N_CHANCES)),
        side=64,
    )

    assert nothing.shape == (5, 64, 64)
    assert not nothing.any()


def test_vacuoles_are_dark_in_er():
    full = _draw({"golgi_dispersal": 5.0, "er_amount": 3.0})
    plain = _draw({"er_amount": 3.0})

    assert _total(full, "ER") < 0.95 * _total(plain, "ER")
