"""What computes an embedding, pinned so that every process of a run gives the same bytes.

The order of a floating point sum depends on the batch shape, the number of threads and the instruction set: within one
pin all of them are fixed. A forward is computed by one thread; more cores are used by more units at a time.

On a GPU its model, its libraries and their settings are fixed too. What comes before a forward stays on the processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Literal

import torch

from hcs.embedding.accelerator import (
    compute_exactly,
    describe_accelerator,
    inexact_settings,
    missing_accelerator,
    require_accelerator,
)
from hcs.errors import EngineError, UsageError
from schemas.work import RunPin

LARGEST_BATCH = 32
"""Planes of one forward: larger ones are not faster on a CPU and need more memory."""

LARGEST_BATCH_CUDA = 256
"""Planes of one forward on a GPU, which small batches leave idle."""

Device = Literal["cpu", "cuda"]


def best_device() -> Device:
    """Return `cuda` where torch can compute on an NVIDIA GPU, else `cpu`."""
    return "cpu" if missing_accelerator() else "cuda"


def pin_for(n_planes_a_site: int, *, device: Device = "cpu") -> RunPin:
    """Return the pin of a run on this machine.

    Args:
        n_planes_a_site: Channels times tiles. Up to 32 (256 on a GPU) are one batch; more are split evenly into batches
            of at most that many, so that little of the last one is padding.
        device: What computes the forwards.

    Raises:
        UsageError: If a site has no planes.
        EngineError: If the device is `cuda` and torch cannot compute on a GPU here.
    """
    if n_planes_a_site < 1:
        raise UsageError(f"a run embeds at least 1 plane a site, but was given {n_planes_a_site}")
    if device == "cuda":
        require_accelerator()
    n_batches = ceil(n_planes_a_site / (LARGEST_BATCH if device == "cpu" else LARGEST_BATCH_CUDA))
    return RunPin(
        device=device,
        instruction_set=torch.backends.cpu.get_cpu_capability(),
        accelerator=describe_accelerator() if device == "cuda" else None,
        batch_size=ceil(n_planes_a_site / n_batches),
        torch=str(torch.__version__),
    )


def honour_pin(pin: RunPin) -> None:
    """Let the calling thread compute what the pin promises, in one thread; every worker thread calls it first.

    On a GPU this sets the precision of the whole process.

    Raises:
        EngineError: As `check_pin`.
    """
    use_one_thread()
    if pin.device == "cuda":
        compute_exactly()
    check_pin(pin)


def check_pin(pin: RunPin) -> None:
    """Return if this process computes what the pin promises.

    Raises:
        EngineError: If another version of torch, other instructions, another device or a reduced precision would
            compute the forwards.
    """
    settings = _reduced_precisions() + (inexact_settings() if pin.device == "cuda" else [])
    differences = [*_differences(pin), *(f"precision {pin.precision!r} (here {setting})" for setting in settings)]
    if differences:
        raise EngineError(
            f"the run is pinned to {', '.join(differences)}: vectors computed here would differ from the run's others; "
            "perform it where the pin holds, or submit a new run here"
        )


def _differences(pin: RunPin) -> list[str]:
    """Return the fields of a pin that do not hold here, each with what holds instead."""
    reason = missing_accelerator() if pin.device == "cuda" else None
    if reason is not None:
        return [f"device {pin.device!r} with {pin.accelerator} (here {reason})"]
    here = pin_for(pin.batch_size, device=pin.device)
    return [
        f"{field} {promised!r} (here {found!r})"
        for field in ("engine", "precision", "instruction_set", "accelerator", "torch")
        if (promised := getattr(pin, field)) != (found := getattr(here, field))
    ]


def _reduced_precisions() -> list[str]:
    """Return the settings of this process that let torch round float32 products to fewer bits."""
    settings = {"torch.get_float32_matmul_precision()": torch.get_float32_matmul_precision()}
    for operation in ("conv", "matmul"):
        backend = getattr(torch.backends.mkldnn, operation, None)  # from torch 2.9
        settings[f"torch.backends.mkldnn.{operation}.fp32_precision"] = getattr(backend, "fp32_precision", "none")
    return [f"{name} is {value!r}" for name, value in settings.items() if value not in {"highest", "none", "ieee"}]


def use_one_thread() -> None:
    """Let torch compute with one thread in the calling thread; every worker thread calls it first.

    The number is each thread's own. A new thread takes over the last number set anywhere when it first computes, which
    would undo one set before: asking for the number first makes it take over, so that what is set then stays, whatever
    other threads set later.
    """
    torch.get_num_threads()
    torch.set_num_threads(1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread in the calling thread while the context lasts."""
    n_threads = torch.get_num_threads()
    if n_threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
