"""The share of time in which the GPU computes."""

from __future__ import annotations

import statistics
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter as clock


@contextmanager
def share_of_gpu(device: str) -> Iterator[Callable[[float, float], float | None]]:
    """Yield a function of two times: the share of the time between them in which the GPU computed, as it tells itself.

    It tells the share of its last sample period (1/6 to 1 s) in which any kernel was under work.
    """
    samples: list[tuple[float, float]] = []
    is_over = threading.Event()

    def sample() -> None:
        ask = gpu_asker()
        while not is_over.wait(0.1):
            samples.append((clock(), ask()))

    def share(start: float, end: float) -> float | None:
        inside = [busy for at, busy in samples if start + 0.5 <= at <= end]
        return statistics.fmean(inside) / 100 if inside else None

    if device == "cuda":
        threading.Thread(target=sample, daemon=True).start()
    try:
        yield share
    finally:
        is_over.set()


def gpu_asker() -> Callable[[], float]:
    """Return a function that asks the first GPU how busy it is, in percent."""
    try:
        import pynvml
    except ImportError:
        command = ["nvidia-smi", "-i", "0", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        return lambda: float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    return lambda: float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
