"""What the processes of a dashboard hold, by the kernel's own account."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def served_by(parent: int) -> dict[str, int]:
    """Return the process of the pages and that of the API, which are children of the one that was started."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) != parent:
            continue
        name = (
            "pages"
            if b"dashboards.ready" in words or b"streamlit" in words
            else "API"
            if b"services.api" in words
            else None
        )
        if name is not None:
            found[name] = int(folder.name)
    return found


def mebibytes(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def slope_of_second_half(visits: Sequence[int], held: Sequence[float]) -> float:
    """Return by how many MiB a process grows in 100 visits, by a line through the second half of the figures."""
    half = len(visits) // 2
    return 100 * float(np.polyfit(visits[half:], held[half:], 1)[0])
