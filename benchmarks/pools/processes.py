"""The processes of what is measured: found by a mark in their environment, told apart, counted and held."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

MARK = "HCS_BENCH_MARK"
KINDS = (
    ("ray::UnitWorker", "workers (ray::UnitWorker)"),
    ("ray::IDLE", "Ray's processes kept ready (ray::IDLE)"),
    ("raylet/raylet", "raylet"),
    ("gcs_server", "gcs_server"),
    ("ray::", "Ray's python helpers"),
    ("site-packages/ray/", "Ray's python helpers"),
    ("multiprocessing", "processes that render"),
)
"""Part of a command -> what kind of process it is; the first that fits."""


def marked(mark: str) -> dict[int, str]:
    """Return process id -> command of every process whose environment had the mark when it started."""
    needle = f"{MARK}={mark}".encode()
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if needle in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
                    found[int(folder.name)] = command.decode(errors="replace")
            except OSError:  # it ended meanwhile, or is another user's
                continue
    return found


def kind_of(command: str) -> str:
    """Return what kind of process a command is."""
    return next((kind for part, kind in KINDS if part in command), "driver (hcs demo)")


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def cpu_seconds() -> Counter[Any]:
    """Return the CPU seconds so far of this process and of all that it started, by kind of process."""
    found: Counter[Any] = Counter()
    for pid, command in marked(os.environ[MARK]).items():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        kind = "this process" if pid == os.getpid() else kind_of(command)
        found[kind] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def hold_workers() -> None:
    """Hold each worker of this process' pool to one core, with all its threads."""
    places = sorted(os.sched_getaffinity(0))
    commands = marked(os.environ[MARK])
    workers = sorted(pid for pid, command in commands.items() if command.startswith("ray::UnitWorker"))
    assert workers, "no worker is there to be held"
    for number, pid in enumerate(workers):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {places[number % len(places)]})
