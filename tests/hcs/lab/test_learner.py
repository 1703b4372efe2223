from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hcs.errors import UnknownEncoderError, UsageError
from hcs.lab.crops import N_TARGETS, Batch, deal_crops
from hcs.lab.fields import Fields
from hcs.lab.learner import (
    Judge,
    Learner,
    check_architecture,
    check_crops,
    explained,
    explained_by_axis,
    judge_of,
    loss_of,
    shown_by_stain,
)
from hcs.lab.recipe import Recipe, Stage
from hcs.simulation.library import AXES, CHANNELS, N_AXES

MakeRecipe = Callable[..., Recipe]

WITHOUT_A_MAP = "xcit_nano_12_p16_224"
"""A transformer whose network takes any size, though timm says one."""


@pytest.fixture(scope="module")
def learner(make_recipe: MakeRecipe) -> Learner:
    """A network that has learned nothing."""
    return Learner(make_recipe()).eval()


@pytest.fixture
def batch(fields: Fields) -> Batch:
    """A few crops, of every stain."""
    dealt = deal_crops(fields, size=64, n=10, rng=np.random.default_rng(2))
    return dealt._replace(channels=np.arange(10) % len(CHANNELS))


def loss(learner: Learner, batch: Batch) -> float:
    with torch.no_grad():
        return float(loss_of(learner, batch, precision="fp32"))


def test_every_axis_is_asked_of_a_stain_that_shows_it_and_the_density_of_all() -> None:
    shown = shown_by_stain()

    assert shown.shape == (len(CHANNELS), N_TARGETS)
    assert (shown[:, -1] == 1).all()
    assert (shown[:, :-1].sum(dim=0) >= 1).all(), "an axis that nobody is asked for cannot be learned"
    assert shown[CHANNELS.index("Mito"), AXES.index("mito_amount")] == 1
    assert shown[CHANNELS.index("Mito"), AXES.index("nucleoli")] == 0


@pytest.mark.parametrize("stain", range(len(CHANNELS)))
def test_a_stain_is_not_asked_for_axes_that_it_does_not_show(learner: Learner, batch: Batch, stain: int) -> None:
    learner.zero_grad()

    loss_of(learner, batch._replace(channels=np.full(10, stain)), precision="fp32").backward()

    shown = shown_by_stain()[stain].bool()
    head = learner.head.weight.grad.view(len(CHANNELS), N_TARGETS, -1).abs().sum(dim=2)
    cells, fine = (
        of_cells.weight.grad.view(len(CHANNELS), N_AXES, -1).abs().sum(dim=2)
        for of_cells in (learner.cell_head, learner.fine_head)
    )
    for gradient, asked in ((head, shown), (cells, shown[:N_AXES]), (fine, shown[:N_AXES])):
        assert (gradient[stain][asked] > 0).all()
        assert (gradient[stain][~asked] == 0).all()
        others = [other for other in range(len(CHANNELS)) if other != stain]
        assert (gradient[others] == 0).all(), "what another stain reads is not its business"


def test_the_loss_is_that_of_a_loop_over_crops_axes_and_cells(learner: Learner, batch: Batch) -> None:
    shown = shown_by_stain().numpy()
    with torch.no_grad():
        read = learner.read_cells(*map(torch.from_numpy, (batch.planes, batch.channels, batch.places)))
    of_planes, of_cells, fine_cells = (result.numpy() for result in read[:3])
    whole, single, fine = [], [], []
    for index, channel in enumerate(batch.channels):
        for axis in np.flatnonzero(shown[channel]):
            if axis == N_AXES or batch.n_cells[index]:
                whole.append(huber(of_planes[index, axis] - batch.targets[index, axis]))
            if axis < N_AXES:
                true = batch.phenotypes[index, :, axis]
                there = np.flatnonzero(~np.isnan(true))
                single += [huber(of_cells[index, cell, axis] - true[cell]) for cell in there]
                fine += [huber(fine_cells[index, cell, axis] - true[cell]) for cell in there]

    assert loss(learner, batch) == pytest.approx(np.mean(whole) + np.mean(single) + 4 * np.mean(fine), rel=1e-5)


def test_the_length_of_the_embedding_costs_and_noise_is_read_with_it(learner: Learner, batch: Batch) -> None:
    def costly(bottleneck: float, seed: int | None = None) -> float:
        noise = None if seed is None else torch.Generator().manual_seed(seed)
        with torch.no_grad():
            return float(loss_of(learner, batch, precision="fp32", bottleneck=bottleneck, noise=noise))

    with torch.no_grad():
        embedded = learner.backbone(learner._image(torch.from_numpy(batch.planes)))
    length = float(embedded.square().sum(dim=1).mean())

    assert length > 0
    assert costly(1e4) - costly(0.0) == pytest.approx(5e3 * length, rel=1e-4)
    assert costly(0.0, seed=1) == costly(0.0, seed=1), "noise follows from its seed"
    assert len({costly(0.0), costly(0.0, seed=1), costly(0.0, seed=2)}) == 3


def huber(error: float) -> float:
    return 0.5 * error**2 if abs(error) < 1 else abs(error) - 0.5


def test_cells_that_are_not_there_do_not_count(learner: Learner, batch: Batch) -> None:
    most = int((~np.isnan(batch.places[:, :, 0])).sum(axis=1).max())
    assert 0 < most < batch.places.shape[1], "some places are empty in every crop"

    trimmed = batch._replace(places=batch.places[:, :most], phenotypes=batch.phenotypes[:, :most])

    assert loss(learner, trimmed) == pytest.approx(loss(learner, batch), rel=1e-6)


def test_a_batch_without_any_cell_has_the_loss_of_its_density(learner: Learner, batch: Batch) -> None:
    nothing = batch._replace(
        n_cells=np.zeros_like(batch.n_cells),
        places=np.full_like(batch.places, np.nan),
        phenotypes=np.full_like(batch.phenotypes, np.nan),
    )
    with torch.no_grad():
        read = learner(torch.from_numpy(batch.planes), torch.from_numpy(batch.channels)).numpy()

    expected = np.mean([huber(error) for error in read[:, -1] - batch.targets[:, -1]])

    assert loss(learner, nothing) == pytest.approx(expected, rel=1e-5)


def test_a_cell_is_read_where_it_is(learner: Learner) -> None:
    planes = torch.rand(1, 96, 96, generator=torch.Generator().manual_seed(0))
    corners = torch.tensor([[[-0.9, -0.9], [0.9, -0.9], [-0.9, 0.9], [0.9, 0.9]]])
    with torch.no_grad():
        features = learner.backbone.forward_features(learner._image(planes))
        _, maps = learner.backbone.forward_intermediates(learner._image(planes))
        on_map = learner.cell_head(features).view(len(CHANNELS), N_AXES, 3, 3)
        on_fine = learner.fine_head(maps[learner.fine_map]).view(len(CHANNELS), N_AXES, 6, 6)
        read = learner.read_cells(planes, torch.tensor([2]), corners)

    expected = [on_map[2, :, row, column] for row, column in ((0, 0), (0, 2), (2, 0), (2, 2))]
    in_corner = [on_fine[2, :, row, column] for row, column in ((0, 0), (0, 5), (5, 0), (5, 5))]

    torch.testing.assert_close(read.cells[0], torch.stack(expected), rtol=1e-4, atol=1e-5)
    # 0.9 of the way from the centre lies 0.2 places outside of the last one's middle: its value, by the padding
    torch.testing.assert_close(read.fine_cells[0], torch.stack(in_corner), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["mobilenetv3_small_100", "efficientvit_b0", "pvt_v2_b0", "resnet18"])
def test_cells_are_also_read_where_two_of_them_do_not_share_a_place(make_recipe: MakeRecipe, architecture: str) -> None:
    learner = Learner(make_recipe(architecture=architecture)).eval()
    planes = torch.rand(2, 96, 96, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        features, fine = learner._maps(learner._image(planes))
        alone = learner.backbone.forward_features(learner._image(planes))

    assert features.shape[2:] == (3, 3)
    assert fine.shape[2:] == (6, 6)
    assert fine.shape[1] == learner.fine_head.in_channels
    torch.testing.assert_close(features, alone, rtol=0, atol=0)


def test_the_weights_that_training_starts_from_follow_from_the_seed_and_nothing_else(make_recipe: MakeRecipe) -> None:
    torch.manual_seed(12)
    before = torch.get_rng_state()
    one, again, other = (Learner(make_recipe(seed=seed)).state_dict() for seed in (0, 0, 1))

    assert torch.equal(torch.get_rng_state(), before), "the caller's own random numbers are left alone"
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    assert any(not torch.equal(value, other[name]) for name, value in one.items())


def tiles(n_sites: int) -> np.ndarray:
    """Sites of textures that differ in scale and strength, two tiles each."""
    rng = np.random.default_rng(0)
    shape = (n_sites, len(CHANNELS), 2, 32, 32)
    strength = rng.uniform(0.05, 0.5, (*shape[:3], 1, 1))
    return np.clip(0.5 + strength * rng.standard_normal(shape), 0, 1).astype(np.float32)


def test_a_perfect_reading_explains_all(learner: Learner) -> None:
    seen = tiles(20)
    shown = shown_by_stain().numpy()
    phenotypes = np.zeros((20, N_AXES), np.float32)
    with torch.no_grad():
        for axis in range(N_AXES):
            stain = int(shown[:, axis].argmax())
            read = learner(torch.from_numpy(seen[:, stain].reshape(40, 32, 32)), torch.full((40,), stain))
            phenotypes[:, axis] = 3 * read[:, axis].view(20, 2).mean(dim=1) - 1

    assert explained(learner, Judge(seen, phenotypes)) == pytest.approx(1, abs=1e-3)


def test_a_reading_of_noise_explains_nothing_and_so_does_one_of_what_does_not_vary(learner: Learner) -> None:
    seen = tiles(60)
    noise = np.random.default_rng(1).normal(size=(60, N_AXES)).astype(np.float32)

    by_axis = explained_by_axis(learner, Judge(seen, noise))

    assert by_axis.shape == (len(CHANNELS), N_AXES)
    assert explained(learner, Judge(seen, noise)) < 0.08  # 1 / 59 is expected of one stain, and the best one counts
    assert (by_axis[shown_by_stain()[:, :N_AXES].numpy() == 0] == 0).all()
    assert explained(learner, Judge(seen, np.ones((60, N_AXES), np.float32))) == 0


def test_sites_are_judged_by_the_cells_in_them_and_those_without_are_left_out(fields: Fields) -> None:
    emptied = Fields(
        fields.planes, np.maximum(fields.first_cell, fields.first_cell[1]), fields.centres, fields.phenotypes
    )

    judge = judge_of(emptied, size=64)

    assert judge.tiles.shape == (23, len(CHANNELS), 4, 64, 64), "the first site has no cell now"
    np.testing.assert_array_equal(judge.tiles[0, 1, 0], fields.planes[1, 1, :64, :64] / np.float32(255))
    np.testing.assert_array_equal(judge.phenotypes[0], fields.phenotypes[fields.cells_of(1)].mean(axis=0))


def test_a_transformer_without_a_map_learns_without_places(make_recipe: MakeRecipe, batch: Batch) -> None:
    learner = Learner(make_recipe(architecture=WITHOUT_A_MAP))

    loss = loss_of(learner, batch, precision="fp32")
    loss.backward()

    assert learner.cell_head is None
    assert learner.fine_head is None
    assert learner.n_channels == 3
    assert torch.isfinite(loss)
    gradients = [parameter.grad for parameter in learner.backbone.parameters() if parameter.grad is not None]
    assert any(gradient.abs().sum() > 0 for gradient in gradients)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("levit_128s", "The size of tensor"),
        ("vit_tiny_patch16_224", "Input height"),
        (WITHOUT_A_MAP, "tiles are resized to 224 pixels for it"),
    ],
)
def test_a_backbone_that_takes_one_size_alone_is_refused_with_others_to_take(
    make_recipe: MakeRecipe, architecture: str, reason: str
) -> None:
    said = rf"crops of 64, 96 pixels was expected.* {architecture} does not \({reason}.*take one .* pvt_v2_b0"

    with pytest.raises(UsageError, match=said):
        check_crops(make_recipe(architecture=architecture))


def test_a_backbone_of_one_size_may_learn_from_crops_of_that_size(make_recipe: MakeRecipe) -> None:
    stages = (Stage(size=224, batch=2, steps=1),)

    check_crops(make_recipe(architecture=WITHOUT_A_MAP, site_px=256, stages=stages))


def test_an_ordinary_backbone_takes_crops_of_any_size(make_recipe: MakeRecipe) -> None:
    check_crops(make_recipe(stages=tuple(Stage(size=size, batch=2, steps=1) for size in (32, 33, 64, 95))))


def test_an_architecture_that_timm_does_not_make_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(
        UnknownEncoderError, match=r"none called 'mobilenetv3_smal_050'; did you mean.* mobilenetv3_small_"
    ):
        check_architecture("mobilenetv3_smal_050")
    with pytest.raises(UnknownEncoderError, match=r"did you mean .*pvt_v2_b0"):
        check_architecture("?")
