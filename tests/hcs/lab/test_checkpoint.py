from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hcs.errors import StorageError, UsageError, WeightsError
from hcs.lab.checkpoint import (
    CHECKPOINT_FILE,
    RECIPE_FILE,
    Checkpoint,
    digest_of,
    keep_checkpoint,
    open_folder,
    read_checkpoint,
)
from hcs.lab.recipe import Recipe

MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def checkpoint(make_recipe: MakeRecipe) -> Checkpoint:
    """One with tensors of several kinds and layouts."""
    tensors = {
        "learner.weight": torch.randn(3, 4, 2, 2).to(memory_format=torch.channels_last),
        "learner.number": torch.tensor(7),
        "average.weight": torch.randn(5).double(),
        "optimizer.step.weight": torch.tensor(25.0),
    }
    points = [(25, 1.0625, None), (50, 0.1 + 0.2, 0.25)]
    return Checkpoint(recipe=make_recipe(), step=53, points=points, losses=[0.3, 0.1, 0.2], tensors=tensors)


def test_a_new_folder_gets_the_recipe_and_has_no_checkpoint(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"

    assert open_folder(folder, make_recipe()) is None
    assert Recipe.model_validate_json((folder / RECIPE_FILE).read_text()) == make_recipe()
    assert open_folder(folder, make_recipe()) is None


def test_a_checkpoint_comes_back_bit_by_bit(checkpoint: Checkpoint, tmp_path: Path) -> None:
    open_folder(tmp_path, checkpoint.recipe)
    keep_checkpoint(tmp_path, checkpoint)

    found = open_folder(tmp_path, checkpoint.recipe)

    assert found is not None
    assert (found.step, found.points, found.losses) == (53, checkpoint.points, checkpoint.losses)
    assert sorted(found.tensors) == sorted(checkpoint.tensors)
    for name, value in checkpoint.tensors.items():
        assert found.tensors[name].dtype == value.dtype, name
        assert torch.equal(found.tensors[name], value), name


def test_a_later_checkpoint_takes_the_place_of_the_one_before(checkpoint: Checkpoint, tmp_path: Path) -> None:
    keep_checkpoint(tmp_path, checkpoint)
    keep_checkpoint(
        tmp_path, Checkpoint(recipe=checkpoint.recipe, step=75, points=[], losses=[], tensors={"a": torch.ones(1)})
    )

    found = read_checkpoint(tmp_path, checkpoint.recipe)

    assert (found.step, sorted(found.tensors)) == (75, ["a"])
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_FILE]


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")

    with pytest.raises(UsageError, match=r"holds something else; name another with --out"):
        open_folder(tmp_path, make_recipe())

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_a_kill_left_of_the_very_first_file_is_no_obstacle(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    (tmp_path / f".{RECIPE_FILE}.0123456789abcdef.part").write_text('{"archi')

    assert open_folder(tmp_path, make_recipe()) is None


def test_a_file_in_place_of_the_folder_is_refused(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("text")

    with pytest.raises(UsageError, match=r"out holds something else; name another with --out"):
        open_folder(file, make_recipe())
    with pytest.raises(StorageError, match="a part of the path is a file: name another place"):
        open_folder(file / "below", make_recipe())

    assert file.read_text() == "text"


@pytest.mark.parametrize("content", [b'{"architecture": "resnet18"}', b"", b"\xff\xfe\x00"])
def test_the_folder_of_another_recipe_is_refused_and_left_alone(
    make_recipe: MakeRecipe, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / RECIPE_FILE).write_bytes(content)

    with pytest.raises(UsageError, match=r"says another recipe; give the same options, or name another folder"):
        open_folder(tmp_path, make_recipe())

    assert (tmp_path / RECIPE_FILE).read_bytes() == content


def test_one_changed_number_is_another_recipe(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    open_folder(tmp_path, make_recipe())

    with pytest.raises(UsageError, match="another recipe"):
        open_folder(tmp_path, make_recipe(weight_decay=0.051))


@pytest.mark.parametrize("length", [0, 5, 300, -1])
def test_a_checkpoint_that_was_cut_off_is_refused(checkpoint: Checkpoint, tmp_path: Path, length: int) -> None:
    open_folder(tmp_path, checkpoint.recipe)
    keep_checkpoint(tmp_path, checkpoint)
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(WeightsError, match=rf"{CHECKPOINT_FILE}, but it is damaged .*; remove it to start again"):
        open_folder(tmp_path, checkpoint.recipe)


@pytest.mark.parametrize("place", [0.2, 0.5, 0.99])
def test_a_checkpoint_that_lost_a_bit_is_refused(checkpoint: Checkpoint, tmp_path: Path, place: float) -> None:
    open_folder(tmp_path, checkpoint.recipe)
    keep_checkpoint(tmp_path, checkpoint)
    path = tmp_path / CHECKPOINT_FILE
    content = bytearray(path.read_bytes())
    first = 8 + int.from_bytes(content[:8], "little")
    content[first + int(place * (len(content) - first))] ^= 1
    path.write_bytes(content)

    with pytest.raises(WeightsError, match="its numbers are not those that were written"):
        open_folder(tmp_path, checkpoint.recipe)


@pytest.mark.parametrize(
    "story", ["", "[]", "{}", '{"step": 5}', json.dumps({"step": "x", "points": []}), '{"step": 5, "points": [[1]]}']
)
def test_safetensors_that_are_no_checkpoint_are_refused(make_recipe: MakeRecipe, tmp_path: Path, story: str) -> None:
    tensors = {"a": torch.ones(2)}
    metadata = {"training": story, "sha256": digest_of(story, tensors)}
    save_file(tensors, tmp_path / CHECKPOINT_FILE, metadata=metadata)

    with pytest.raises(WeightsError, match="is damaged"):
        read_checkpoint(tmp_path, make_recipe())
