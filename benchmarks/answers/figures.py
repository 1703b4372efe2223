"""Percentiles, their bars, and how fast the machine is meanwhile."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence

import numpy as np

from answers.asking import Answer
from answers.questions import BARS

HEADER = f"{'':34s} {'n':>5s} {'p50':>7s} {'p95':>7s} {'p99':>7s} {'bar':>6s} {'met':>4s} {'CPU':>7s} {'speed':>6s}"
QUIET_SECONDS = 0.13
"""What `calibration_seconds` takes on a core of 2024 that nothing else disturbs."""


def calibration_seconds() -> float:
    """Return the seconds of a fixed amount of numpy and zlib: what else the machine does makes them more."""
    values = np.random.default_rng(0).integers(0, 4000, 1_500_000, dtype=np.uint16)
    begin = time.perf_counter()
    zlib.compress(values.tobytes(), 1)
    for _ in range(12):
        values = np.sort(values[::-1], kind="stable").astype(np.float64).astype(np.uint16)
    return time.perf_counter() - begin


def percentiles(answers: Sequence[Answer]) -> tuple[float, float, float]:
    """Return p50, p95 and p99 of the seconds."""
    p50, p95, p99 = np.percentile([answer.seconds for answer in answers], [50, 95, 99])
    return float(p50), float(p95), float(p99)


def row(what: str, answers: Sequence[Answer], *, cpu: float | None, speed: float) -> str:
    """Return a line of the table, in milliseconds.

    Args:
        what: Database and how it was asked.
        answers: Of one route.
        cpu: Seconds of the server a request, where all of them were of one route.
        speed: How much longer the calibration took than on a quiet machine.
    """
    route = answers[0].route
    p50, p95, p99 = (1000 * seconds for seconds in percentiles(answers))
    bar = 1000 * BARS[route]
    used = "" if cpu is None else f"{1000 * cpu:.1f}"
    met = "yes" if p95 <= bar else "NO"
    name = f"{what}: {route}"
    return f"{name:34s} {len(answers):5d} {p50:7.1f} {p95:7.1f} {p99:7.1f} {bar:6.0f} {met:>4s} {used:>7s} {speed:6.2f}"
