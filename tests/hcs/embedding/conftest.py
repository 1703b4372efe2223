"""Small models' worth of planes, and files of weights made from seeded backbones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from hcs.embedding.backbones import create_untrained_backbone
from hcs.embedding.loading import load_encoder
from hcs.embedding.registry import describe_encoder
from hcs.settings import Settings
from schemas.encoders import Encoder
from schemas.screen import EncoderChoice


@pytest.fixture
def _precision_as_before() -> Iterator[None]:
    """Put torch's switches of precision and of the GPU's kernels back, which are of the whole process."""
    switches = {
        "cudnn": ("enabled", "benchmark", "deterministic"),
        "cudnn.conv": ("fp32_precision",),
        "cudnn.rnn": ("fp32_precision",),
        "cuda.matmul": ("fp32_precision",),
    }
    before = [
        (owner, name, attrgetter(f"{owner}.{name}")(torch.backends)) for owner in switches for name in switches[owner]
    ]
    yield
    torch.set_float32_matmul_precision("highest")
    for owner, name, value in before:
        setattr(attrgetter(owner)(torch.backends), name, value)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that reach neither the hub nor the caches of this machine."""
    return Settings(weights_cache=tmp_path / "cache", offline=True)


@pytest.fixture(scope="session")
def load() -> Callable[[str], Encoder]:
    """Load an encoder by name, once a session."""

    @cache
    def by_name(name: str) -> Encoder:
        return load_encoder(describe_encoder(EncoderChoice(name=name), settings=Settings(offline=True)))

    return by_name


@pytest.fixture
def planes() -> Callable[..., NDArray[np.float32]]:
    """Make (N, Y, X) float32 planes of blobs and noise from a seed."""

    def make(n_planes: int, size: int = 128, seed: int = 0) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        coarse = rng.random((n_planes, size // 8, size // 8), dtype=np.float32)
        fine = rng.random((n_planes, size, size), dtype=np.float32)
        return np.float32(0.8) * coarse.repeat(8, axis=1).repeat(8, axis=2) + np.float32(0.2) * fine

    return make


@pytest.fixture
def tensors() -> Callable[[], dict[str, torch.Tensor]]:
    """Return the state of a small backbone, with other numbers than seed 0 gives."""

    def make() -> dict[str, torch.Tensor]:
        state = create_untrained_backbone("mobilenetv3_small_050").state_dict()
        return {name: tensor * 1.25 if tensor.is_floating_point() else tensor for name, tensor in state.items()}

    return make


@pytest.fixture
def weights_file(tmp_path: Path, tensors: Callable[[], dict[str, torch.Tensor]]) -> Path:
    """A file of weights for mobilenetv3_small_050."""
    file = tmp_path / "ours.safetensors"
    save_file(tensors(), file)
    return file
