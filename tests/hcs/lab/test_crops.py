from __future__ import annotations

from collections.abc import Callable
from itertools import islice, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.lab.crops import N_TARGETS, Batch, batches, deal_crops
from hcs.lab.fields import Fields
from hcs.lab.recipe import Recipe, Stage
from hcs.simulation.library import N_AXES

MakeRecipe = Callable[..., Recipe]

SIDE, SIZE = 20, 14


def noisy_fields(rng: np.random.Generator, *, n_sites: int = 2, n_channels: int = 2, n_cells: int = 9) -> Fields:
    """Sites of noise, of which every crop can be found again, with cells anywhere; the last has none."""
    counts = [n_cells] * (n_sites - 1) + [0]
    total = sum(counts)
    return Fields(
        planes=rng.integers(256, size=(n_sites, n_channels, SIDE, SIDE), dtype=np.uint8),
        first_cell=np.cumsum([0, *counts]),
        centres=rng.uniform(0, SIDE, (total, 2)).astype(np.float32),
        phenotypes=rng.normal(size=(total, N_AXES)).astype(np.float32),
    )


def all_turns(square: np.ndarray) -> list[np.ndarray]:
    """The eight ways in which a square can lie."""
    return [np.rot90(side, turn) for side in (square, square.T) for turn in range(4)]


def find_crop(plane: np.ndarray, fields: Fields, channel: int) -> tuple[int, int, int]:
    """Return site, row and column of a crop by comparing it with every possible one."""
    greys = np.rint(plane * 255).astype(np.uint8)
    places = product(range(fields.n_sites), range(SIDE - SIZE + 1), range(SIDE - SIZE + 1))
    found = [
        (site, row, column)
        for site, row, column in places
        if any(
            np.array_equal(greys, turned)
            for turned in all_turns(fields.planes[site, channel, row : row + SIZE, column : column + SIZE])
        )
    ]
    assert len(found) == 1, f"a crop was expected to be cut from one place of its channel, but {found} fit"
    return found[0]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_targets_are_those_of_the_cells_that_lie_in_the_crop(seed: int) -> None:
    fields = noisy_fields(np.random.default_rng(seed))

    batch = deal_crops(fields, size=SIZE, n=8, rng=np.random.default_rng(seed + 1), is_disturbed=False)

    for index in range(8):
        site, row, column = find_crop(batch.planes[index], fields, batch.channels[index])
        cells = range(fields.first_cell[site], fields.first_cell[site + 1])
        inside = [
            cell
            for cell in cells
            if row <= fields.centres[cell, 0] < row + SIZE and column <= fields.centres[cell, 1] < column + SIZE
        ]
        ordinary = 48 * SIZE * SIZE / 256**2
        assert batch.n_cells[index] == len(inside)
        assert batch.targets[index, -1] == pytest.approx(np.log((len(inside) + 0.5) / (ordinary + 0.5)), rel=1e-5)
        mean = np.mean([fields.phenotypes[cell] for cell in inside], axis=0) if inside else np.zeros(N_AXES)
        np.testing.assert_allclose(batch.targets[index, :N_AXES], mean, atol=1e-6)


def dotted_fields() -> Fields:
    """One site, black but for a pixel of its own grey at each cell; the cell's phenotype is that grey."""
    rng = np.random.default_rng(3)
    pixels = rng.permutation(SIDE * SIDE)[:12]
    places = np.stack(np.divmod(pixels, SIDE), axis=1)
    greys = 100 + 10 * np.arange(len(places))
    planes = np.zeros((1, 1, SIDE, SIDE), np.uint8)
    planes[0, 0, places[:, 0], places[:, 1]] = greys
    return Fields(
        planes=planes,
        first_cell=np.array([0, len(places)]),
        centres=(places + 0.5).astype(np.float32),
        phenotypes=np.repeat(greys[:, None], N_AXES, axis=1).astype(np.float32),
    )


def test_the_places_of_cells_follow_the_pixels_through_all_eight_turns() -> None:
    fields = dotted_fields()

    batch = deal_crops(fields, size=SIZE, n=200, rng=np.random.default_rng(0), is_disturbed=False)

    turns_seen, n_told = set(), 0
    for plane, places, phenotypes in zip(batch.planes, batch.places, batch.phenotypes, strict=True):
        is_told = ~np.isnan(places[:, 0])
        for (x, y), phenotype in zip(places[is_told], phenotypes[is_told], strict=True):
            column, row = int((x + 1) / 2 * SIZE), int((y + 1) / 2 * SIZE)
            assert round(255 * plane[row, column]) == phenotype[0], f"no cell of grey {phenotype[0]} at {row}, {column}"
            n_told += 1
        assert np.isnan(phenotypes[~is_told]).all()
        turns_seen |= turns_of(plane, fields)
    assert turns_seen == set(range(8)), "every turn was to be seen"
    assert n_told > 50


def turns_of(plane: np.ndarray, fields: Fields) -> set[int]:
    """The turn of a crop, where it shows more than one possible one says nothing."""
    greys = np.rint(plane * 255).astype(np.uint8)
    corners = product(range(SIDE - SIZE + 1), repeat=2)
    crops = [fields.planes[0, 0, row : row + SIZE, column : column + SIZE] for row, column in corners]
    found = {turn for crop in crops for turn, turned in enumerate(all_turns(crop)) if np.array_equal(greys, turned)}
    return found if len(found) == 1 else set()


def test_cells_whose_middle_is_cut_off_are_counted_but_their_place_is_not_told() -> None:
    fields = dotted_fields()

    batch = deal_crops(fields, size=SIZE, n=200, rng=np.random.default_rng(0), is_disturbed=False)

    n_places = (~np.isnan(batch.places[:, :, 0])).sum(axis=1)
    assert (n_places <= batch.n_cells).all()
    assert (n_places < batch.n_cells).any()
    from_border = SIZE / 2 * (1 - np.abs(batch.places[~np.isnan(batch.places)]))
    assert from_border.min() >= 5 - 1e-4


def test_of_a_crowd_twelve_places_are_told_and_all_cells_count() -> None:
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, SIDE, (4000, 2)).astype(np.float32)
    fields = Fields(
        planes=np.zeros((1, 1, SIDE, SIDE), np.uint8),
        first_cell=np.array([0, 4000]),
        centres=centres,
        phenotypes=rng.normal(size=(4000, N_AXES)).astype(np.float32),
    )

    batch = deal_crops(fields, size=SIZE, n=4, rng=rng)

    assert np.isfinite(batch.places).all()
    assert batch.places.shape == (4, 12, 2)
    assert (batch.n_cells > 100).all()


def test_a_crop_without_cells_has_a_density_alone() -> None:
    fields = noisy_fields(np.random.default_rng(0), n_sites=1)

    batch = deal_crops(fields, size=SIZE, n=5, rng=np.random.default_rng(0))

    assert not batch.n_cells.any()
    assert not batch.targets[:, :N_AXES].any()
    assert (batch.targets[:, -1] < 0).all()
    assert np.isnan(batch.places).all()
    assert np.isnan(batch.phenotypes).all()


def test_brightness_contrast_and_noise_vary_but_greys_stay_between_0_and_1(fields: Fields) -> None:
    plain = deal_crops(fields, size=64, n=60, rng=np.random.default_rng(5), is_disturbed=False)

    disturbed = deal_crops(fields, size=64, n=60, rng=np.random.default_rng(5))

    assert plain.planes.dtype == disturbed.planes.dtype == np.float32
    assert (disturbed.planes.min(), disturbed.planes.max()) == (0, 1)
    np.testing.assert_array_equal(disturbed.targets, plain.targets)
    correlations = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(plain.planes, disturbed.planes, strict=True)
    ]
    assert np.median(correlations) > 0.97, "it is the same crop"
    gains = disturbed.planes.mean(axis=(1, 2)) / plain.planes.mean(axis=(1, 2))
    assert 0.05 < np.std(np.log(gains)) < 0.25


def test_a_crop_may_be_the_whole_site(fields: Fields) -> None:
    batch = deal_crops(fields, size=96, n=10, rng=np.random.default_rng(0), is_disturbed=False)

    sizes = np.diff(fields.first_cell)
    assert set(batch.n_cells.astype(int)) <= set(sizes.tolist())


def same(one: Batch, other: Batch) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_the_batch_of_a_step_follows_from_seed_and_step_alone(fields: Fields, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(stages=(Stage(size=64, batch=3, steps=4), Stage(size=96, batch=2, steps=3)))
    dealt = list(batches(fields, recipe))

    assert [batch.planes.shape for batch in dealt] == [(3, 64, 64)] * 4 + [(2, 96, 96)] * 3
    for first in range(7):
        late = list(batches(fields, recipe, first_step=first))
        assert len(late) == 7 - first
        assert all(same(a, b) for a, b in zip(late, dealt[first:], strict=True)), f"from step {first} on"
    assert not any(same(a, b) for a, b in pairwise(dealt))
    assert list(batches(fields, recipe, first_step=7)) == []


def test_who_asks_between_changes_no_batch(fields: Fields, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(stages=(Stage(size=64, batch=3, steps=6),))
    one, other = batches(fields, recipe), batches(fields, recipe)

    mixed = [next(one), next(other), next(other), next(one), next(one), next(other)]

    alone = list(islice(batches(fields, recipe), 3))
    assert all(same(mixed[index], alone[step]) for index, step in enumerate((0, 0, 1, 1, 2, 2)))
    one.close()
    other.close()


def test_another_seed_deals_other_crops(fields: Fields, make_recipe: MakeRecipe) -> None:
    first, second = (next(batches(fields, make_recipe(seed=seed))) for seed in (0, 1))

    assert not same(first, second)
    assert first.targets.shape == second.targets.shape == (4, N_TARGETS)
