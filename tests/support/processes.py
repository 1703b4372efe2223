"""Finds the processes that a command started, however deep, by a mark in their environment."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

MARK = "HCS_TEST_MARK"


def marked(mark: str) -> dict[int, str]:
    """Return process id -> command of every living process that carries a mark."""
    found = {}
    needle = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            is_marked = needle in (folder / "environ").read_bytes().split(b"\0")
            if is_marked and "State:\tZ" not in (folder / "status").read_text():
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120]
        except OSError:
            continue
    found.pop(os.getpid(), None)
    return found


def workers(mark: str) -> list[int]:
    """Return the process ids of the pool's workers."""
    return sorted(pid for pid, command in marked(mark).items() if command.startswith("ray::UnitWorker"))


def assert_nothing_is_left(mark: str, *, seconds: float = 10.0) -> None:
    """Fail if a process with the mark, or a folder of ours for Ray, is there after `seconds`."""
    give_up = time.monotonic() + seconds
    while (left := marked(mark)) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert left == {}
    assert ray_folders() == []


def ray_folders() -> list[str]:
    """Return the folders that a command made for Ray and did not remove."""
    return sorted(str(path) for path in Path(tempfile.gettempdir()).glob("hcs-ray-*"))
