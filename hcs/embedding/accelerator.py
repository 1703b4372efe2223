"""The GPU of this process: whether torch can use one, what it is, and the settings that keep its products exact.

The settings are torch's, one for the whole process. Convolutions are rounded to ten bits (TF32) unless they are set.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any, NamedTuple

import torch

from hcs.errors import EngineError


class _Setting(NamedTuple):
    owner: str
    name: str
    exact: object


_DETERMINISTIC = (
    _Setting("cudnn", "enabled", True),
    _Setting("cudnn", "benchmark", False),  # it times kernels and takes the fastest, another one every time
    _Setting("cudnn", "deterministic", True),
)
_IEEE = (
    _Setting("cuda.matmul", "fp32_precision", "ieee"),
    _Setting("cudnn.conv", "fp32_precision", "ieee"),
    _Setting("cudnn.rnn", "fp32_precision", "ieee"),  # no encoder has one, but the older switch stands for both
)
_NO_TF32 = (_Setting("cuda.matmul", "allow_tf32", False), _Setting("cudnn", "allow_tf32", False))
"""The same before torch 2.9."""


def missing_accelerator() -> str | None:
    """Return why torch cannot compute on an NVIDIA GPU here, or None if it can: tried, not assumed."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a build without CUDA"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} with CUDA {torch.version.cuda} sees no GPU"
    try:
        torch.ones(1, device="cuda").add(1).cpu()
    except RuntimeError as error:
        return f"torch {torch.__version__} sees a GPU but cannot compute on it: {' '.join(str(error).split())}"
    return None


def require_accelerator() -> None:
    """Return if torch can compute on an NVIDIA GPU here.

    Raises:
        EngineError: If it cannot.
    """
    reason = missing_accelerator()
    if reason is not None:
        raise EngineError(
            f"device 'cuda' needs an NVIDIA GPU that torch can compute on, but here {reason}; install a build of torch "
            "with CUDA that knows this GPU and its driver, look whether nvidia-smi and CUDA_VISIBLE_DEVICES show one, "
            "or choose device 'cpu'"
        )


def describe_accelerator() -> str:
    """Return model and capability of the current GPU and the libraries that compute on it.

    As `NVIDIA H100 80GB HBM3 sm_90 cuda 13.0 cudnn 91300`: another of any of them gives other bytes.
    """
    major, minor = torch.cuda.get_device_capability()
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return f"{torch.cuda.get_device_name()} sm_{major}{minor} cuda {torch.version.cuda} cudnn {cudnn}"


def compute_exactly() -> None:
    """Let torch compute float32 on the GPU unrounded, with kernels that give the same bytes every time."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False  # the older switches too: torch refuses to compute where the two differ
    for setting in _settings():
        setattr(attrgetter(setting.owner)(torch.backends), setting.name, setting.exact)


def inexact_settings() -> list[str]:
    """Return the settings of this process that let the GPU round products, or choose kernels by their time."""
    return [
        f"torch.backends.{setting.owner}.{setting.name} is {found!r}"
        for setting in _settings()
        if (found := _value(setting)) != setting.exact
    ]


def _settings() -> Iterator[_Setting]:
    yield from _DETERMINISTIC
    yield from _IEEE if hasattr(torch.backends.cudnn, "conv") else _NO_TF32


def _value(setting: _Setting) -> Any:
    return getattr(attrgetter(setting.owner)(torch.backends), setting.name)
