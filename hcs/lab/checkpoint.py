"""What a training keeps in its folder, so that it can go on: numbers as safetensors, everything else as JSON in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from hcs.errors import UsageError, WeightsError
from hcs.io.storage import write_atomically
from hcs.lab.recipe import Recipe

RECIPE_FILE: Final = "recipe.json"
CHECKPOINT_FILE: Final = "checkpoint.safetensors"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything that the rest of a training follows from."""

    recipe: Recipe
    step: int
    points: Sequence[tuple[int, float, float | None]]
    losses: Sequence[float]
    """Of the steps since the last point."""
    tensors: dict[str, torch.Tensor]


def open_folder(folder: Path, recipe: Recipe) -> Checkpoint | None:
    """Return the checkpoint of the same training in a folder; None, with the recipe written, in a new or empty one.

    Raises:
        UsageError: If the folder holds another training, or something else.
        WeightsError: If the checkpoint is damaged.
        StorageError: If the folder cannot be made.
    """
    text = recipe.model_dump_json(indent=2) + "\n"
    kept = folder / RECIPE_FILE
    if folder.exists() and (not folder.is_dir() or (_holds_something(folder) and not kept.is_file())):
        raise UsageError(
            f"an empty folder, or one with an interrupted training, was expected, but {folder} holds something else; "
            "name another with --out"
        )
    if kept.is_file() and kept.read_bytes() != text.encode():
        raise UsageError(
            f"the same training was expected to go on in {folder}, but its {RECIPE_FILE} says another recipe; give the "
            "same options, or name another folder with --out"
        )
    write_atomically(str(kept), text.encode())
    return read_checkpoint(folder, recipe) if (folder / CHECKPOINT_FILE).is_file() else None


def _holds_something(folder: Path) -> bool:
    """Return whether there is more than what a kill leaves of a file that was being written."""
    return any(not (path.name.startswith(".") and path.suffix == ".part") for path in folder.iterdir())


def keep_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in place of the one before."""
    tensors = {name: value.detach().contiguous() for name, value in checkpoint.tensors.items()}
    story = json.dumps({"step": checkpoint.step, "points": list(checkpoint.points), "losses": list(checkpoint.losses)})
    metadata = {"training": story, "sha256": digest_of(story, tensors)}
    write_atomically(str(folder / CHECKPOINT_FILE), save(tensors, metadata=metadata))


def digest_of(story: str, tensors: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 of what a checkpoint holds: a disk that lost a bit must not change the weights unnoticed."""
    digest = hashlib.sha256(story.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def read_checkpoint(folder: Path, recipe: Recipe) -> Checkpoint:
    """Return the checkpoint in a folder.

    Raises:
        WeightsError: If it is damaged.
    """
    path = folder / CHECKPOINT_FILE
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        if metadata["sha256"] != digest_of(metadata["training"], tensors):
            raise ValueError("its numbers are not those that were written")
        story = json.loads(metadata["training"])
        step, points = int(story["step"]), [(int(step), float(loss), score) for step, loss, score in story["points"]]
        losses = [float(loss) for loss in story["losses"]]
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"a checkpoint of a training was expected in {path}, but it is damaged ({error}); remove it to start again"
        ) from error
    return Checkpoint(recipe=recipe, step=step, points=points, losses=losses, tensors=tensors)
