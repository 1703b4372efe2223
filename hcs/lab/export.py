"""Writes a trained backbone as others load it: timm's names and shapes, three channels, half precision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save

from hcs.embedding.known import known_encoders
from hcs.errors import TrainingError
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

    Raises:
        TrainingError: If a weight is not finite, or too large for half precision.
    """
    state = {
        name: _stored(value)
        for name, value in _three_channels(learner, recipe.architecture).items()
        if not name.endswith("num_batches_tracked")
    }
    _refuse_non_finite(state)
    metadata = {
        "architecture": recipe.architecture,
        "recipe": recipe.model_dump_json(),
        "mean": json.dumps([recipe.mean]),
        "std": json.dumps([recipe.std]),
        "licence": "BSD-3-Clause",
        "trained_on": TRAINED_ON,
    }
    path = folder / WEIGHTS_FILE
    write_atomically(str(path), _sorted_header(save(state, metadata=metadata)))
    return path


def _sorted_header(content: bytes) -> bytes:
    """Return a safetensors file with what its header says beside the tensors sorted: safetensors draws an order."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def _refuse_non_finite(state: State) -> None:
    bad = sorted(name for name, value in state.items() if not bool(torch.isfinite(value).all()))
    if bad:
        raise TrainingError(
            f"weights that half precision can hold were expected, but it makes {len(bad)} of {len(state)} tensors not "
            f"finite, {bad[0]} the first; start again in another folder with a smaller --learning-rate"
        )


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
