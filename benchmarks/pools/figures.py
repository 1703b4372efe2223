"""Figures: medians, their targets and the table of them, and how fast the machine is meanwhile."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Sequence
from time import perf_counter as clock
from typing import Any

Found = dict[str, Any]
"""What one run gave."""


class Report:
    """What was found, and what was wanted."""

    def __init__(self) -> None:
        """Have found nothing yet."""
        self.rows: list[tuple[str, str, str, str]] = []
        self.figures: Found = {}

    def row(self, what: str, value: float, form: str, *, most: float | None = None, least: float | None = None) -> None:
        """Add a figure, perhaps with its target."""
        target, is_met = "", ""
        if most is not None:
            target, is_met = f"<= {form.format(most)}", "yes" if value <= most else "NO"
        if least is not None:
            target, is_met = f">= {form.format(least)}", "yes" if value >= least else "NO"
        self.rows.append((what, form.format(value), target, is_met))

    def show(self) -> None:
        """Print the table."""
        print(f"\n{'':80s} {'measured':>10s} {'target':>11s}  met")
        for what, value, target, is_met in self.rows:
            print(f"{what:80s} {value:>10s} {target:>11s}  {is_met}".rstrip())


def calibration_seconds() -> float:
    """Return the seconds of a fixed amount of numpy and hashing on one thread: how fast this machine is now."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    matrix = np.random.default_rng(0).random((1024, 1024), dtype=np.float32)
    start = clock()
    with threadpool_limits(1):
        for _ in range(10):
            hashlib.sha256((matrix @ matrix).tobytes())
    return clock() - start


def median(found: Sequence[Found], field: str) -> float:
    """Return the median of a field over rounds."""
    return float(statistics.median(item[field] for item in found))


def refuse_other_exports(runs: Sequence[Found]) -> None:
    """Refuse to go on if runs gave different bytes."""
    expected = runs[0]["digests"]
    for found in (run["digests"] for run in runs):
        differ = sorted(name for name in found | expected if found.get(name) != expected.get(name))
        assert not differ, f"exports differ: {', '.join(differ[:5])}"
    print(f"  exports of {len(runs)} runs are the same bytes, {len(expected)} files each")
