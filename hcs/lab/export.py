"""Writes a trained backbone as others load it: timm's names and shapes, three channels, half precision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save

from hcs.embedding.known import known_encoders
from hcs.io.storage import write_atomically
from hcs.lab.learner import Learner, State
from hcs.lab.recipe import Recipe

WEIGHTS_FILE: Final = "weights.safetensors"
TRAINED_ON: Final = (
    "simulated Cell Painting screens of this project alone: random directions of the phenotype and the simulator's "
    "training mechanisms, none of the demo's"
)
_HALF_FROM: Final = 2
"""Dimensions from which a tensor is stored in half precision; scales and running statistics stay as they are."""


def export_weights(learner: Learner, recipe: Recipe, folder: Path) -> Path:
    """Write the backbone's weights into a folder and return their path.

    What was learned from one grey channel is spread evenly over the three of the ordinary stem, which gives the same
    numbers for a grey image.
    """
    state = {
        name: _stored(value)
        for name, value in _three_channels(learner, recipe.architecture).items()
        if not name.endswith("num_batches_tracked")
    }
    metadata = {
        "architecture": recipe.architecture,
        "recipe": recipe.model_dump_json(),
        "mean": json.dumps([recipe.mean]),
        "std": json.dumps([recipe.std]),
        "licence": "BSD-3-Clause",
        "trained_on": TRAINED_ON,
    }
    path = folder / WEIGHTS_FILE
    write_atomically(str(path), save(state, metadata=metadata))
    return path


def _three_channels(learner: Learner, architecture: str) -> State:
    state = dict(learner.backbone.state_dict())
    known = known_encoders().get(architecture)
    if learner.n_channels == 1 and known is not None and known.grey_stem is not None:
        name = f"{known.grey_stem}.weight"
        state[name] = (state[name] / 3).expand(-1, 3, -1, -1)
    return state


def _stored(value: torch.Tensor) -> torch.Tensor:
    half = value.is_floating_point() and value.ndim >= _HALF_FROM
    return (value.half() if half else value).contiguous()
