from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from hcs.embedding.loading import load_encoder
from hcs.embedding.registry import describe_encoder
from hcs.embedding.weights import PICKLES, weights_metadata
from hcs.errors import TrainingError
from hcs.lab.crops import deal_crops
from hcs.lab.export import WEIGHTS_FILE, export_weights
from hcs.lab.fields import Fields
from hcs.lab.learner import Learner
from hcs.lab.recipe import Recipe, Stage
from hcs.lab.training import Training
from hcs.settings import Settings
from schemas.screen import EncoderChoice

MakeRecipe = Callable[..., Recipe]


@pytest.fixture(scope="module")
def trained(make_recipe: MakeRecipe, fields: Fields) -> Learner:
    """The averaged weights after a few steps: also running statistics have moved."""
    training = Training(make_recipe(mean=0.2, std=0.3))
    rng = np.random.default_rng(0)
    for _ in range(4):
        training._learn(deal_crops(fields, size=64, n=4, rng=rng))
    return training.averaged()


def check_vectors(learner: Learner, recipe: Recipe, planes: NDArray[np.float32], folder: Path) -> None:
    """Export, load as any user does, and hold the vectors against those of the learner's own backbone."""
    path = export_weights(learner, recipe, folder)
    choice = EncoderChoice(name=recipe.architecture, weights=str(path))

    info = describe_encoder(choice, settings=Settings(offline=True))
    vectors = load_encoder(info).embed(planes, batch_size=len(planes))

    with torch.no_grad():
        own = learner.backbone(learner._image(torch.from_numpy(planes))).numpy()
    assert (info.mean, info.std) == (recipe.mean, recipe.std)
    assert vectors.shape == own.shape
    # half precision keeps 11 bits of every weight
    assert np.linalg.norm(vectors - own) < 0.005 * np.linalg.norm(own)


def test_what_is_written_is_loaded_as_any_weights_and_gives_the_same_vectors(
    make_recipe: MakeRecipe, trained: Learner, fields: Fields, tmp_path: Path
) -> None:
    planes = deal_crops(fields, size=96, n=6, rng=np.random.default_rng(1)).planes

    check_vectors(trained, make_recipe(mean=0.2, std=0.3), planes, tmp_path)


def test_a_backbone_that_keeps_its_three_channels_is_written_as_it_is(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    stages = (Stage(size=224, batch=2, steps=1),)
    recipe = make_recipe(architecture="xcit_nano_12_p16_224", mean=0.2, std=0.3, site_px=256, stages=stages)
    planes = np.random.default_rng(1).random((3, 224, 224), np.float32)

    check_vectors(Learner(recipe).eval(), recipe, planes, tmp_path)


def test_the_header_says_all_that_a_user_must_know(make_recipe: MakeRecipe, trained: Learner, tmp_path: Path) -> None:
    recipe = make_recipe(mean=0.2, std=0.3)

    said = weights_metadata(export_weights(trained, recipe, tmp_path))

    assert Recipe.model_validate_json(said["recipe"]) == recipe
    assert (json.loads(said["mean"]), json.loads(said["std"])) == ([0.2], [0.3])
    assert said["architecture"] == "mobilenetv3_small_050"
    assert said["licence"] == "BSD-3-Clause"
    assert "simulated Cell Painting screens" in said["trained_on"]
    assert "none of the demo's" in said["trained_on"]


def test_the_stem_takes_colours_again_and_sees_grey_as_before(
    make_recipe: MakeRecipe, trained: Learner, tmp_path: Path
) -> None:
    state = load_file(export_weights(trained, make_recipe(), tmp_path))

    stem = state["conv_stem.weight"]
    assert stem.shape[1] == 3
    assert torch.equal(stem[:, 0], stem[:, 1])
    assert torch.equal(stem[:, 0], stem[:, 2])
    torch.testing.assert_close(
        stem.float().sum(dim=1, keepdim=True), trained.backbone.conv_stem.weight.detach(), rtol=1e-3, atol=1e-4
    )
    assert stem.dtype == torch.float16
    assert {name: value.dtype for name, value in state.items() if value.ndim < 2 and value.dtype != torch.float32} == {}
    assert not [name for name in state if name.startswith(("head", "cell_head", "fine_head"))], (
        "readings are not part of an encoder"
    )


def test_equal_learners_give_equal_bytes_and_no_file_is_a_pickle(
    make_recipe: MakeRecipe, trained: Learner, tmp_path: Path
) -> None:
    one, other = (export_weights(trained, make_recipe(), tmp_path / name) for name in ("a", "b"))

    assert one.read_bytes() == other.read_bytes()
    assert [path.name for path in one.parent.iterdir()] == [WEIGHTS_FILE]
    content = one.read_bytes()
    assert content[8:9] == b"{", "a header of JSON"
    assert not content[8:].startswith(PICKLES)


@pytest.mark.parametrize("value", [1e6, float("nan"), float("inf")])
def test_weights_that_half_precision_cannot_hold_are_refused(
    make_recipe: MakeRecipe, tmp_path: Path, value: float
) -> None:
    learner = Learner(make_recipe())
    with torch.no_grad():
        learner.backbone.conv_head.weight[3] = value

    with pytest.raises(
        TrainingError, match=r"1 of \d+ tensors not finite, conv_head.weight the first.*--learning-rate"
    ):
        export_weights(learner, make_recipe(), tmp_path)

    assert list(tmp_path.iterdir()) == []
