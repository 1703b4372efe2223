"""Finds the processes that a command started, however deep, by a mark in their environment."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "HCS_TEST_MARK"
TORCH = "torchinductor_"
"""A folder that torch makes when it is imported, and keeps."""


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


@dataclass(frozen=True)
class Marked:
    """Commands whose processes can be told from all others, and whose temporary files lie in a folder of their own."""

    mark: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What to give to `commands.start` and `commands.hcs`."""
        return {MARK: self.mark, "TMPDIR": str(self.folder)}

    def processes(self) -> dict[int, str]:
        """Every living process of the commands."""
        return marked(self.mark)

    def workers(self) -> list[int]:
        """The workers of their pools."""
        return sorted(pid for pid, command in self.processes().items() if command.startswith("ray::UnitWorker"))

    def left(self, *, seconds: float = 10.0) -> tuple[dict[int, str], list[str]]:
        """What of them is still there after `seconds`: processes, and temporary files."""
        give_up = time.monotonic() + seconds
        while (left := (self.processes(), self._files())) != ({}, []) and time.monotonic() < give_up:
            time.sleep(0.1)
        return left

    def _files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith(TORCH))

    def end(self) -> None:
        """End what is left, so that one failed test does not disturb the others."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def make_mark() -> Marked:
    """Return a new mark."""
    return Marked(mark=uuid.uuid4().hex, folder=Path(tempfile.mkdtemp(prefix="m")))
