"""An image that whoever reads it waits for, as where storage does not answer: a named pipe in its place."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self


class HeldImage:
    """While held, a reader of the image hangs, and it can be told which process that is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f"{path.name}.aside")
        self._writers: list[int] = []
        self._told: set[int] = set()

    def __enter__(self) -> Self:
        self._path.rename(self._aside)
        os.mkfifo(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        for writer in self._writers:
            os.close(writer)

    def wait_until_read(self, *, seconds: float = 120.0) -> None:
        """Return when somebody waits for the image, perhaps a thread of this process."""
        give_up = time.monotonic() + seconds
        while not self._is_read():
            assert time.monotonic() < give_up, f"nobody read {self._path.name} within {seconds:.0f} s"
            time.sleep(0.02)

    def wait_for_reader(self, *, seconds: float = 120.0) -> int:
        """Return a process that waits for the image, each once: it is in the middle of its unit."""
        give_up = time.monotonic() + seconds
        while not (new := set(self.readers()) - self._told):
            assert time.monotonic() < give_up, f"nobody read {self._path.name} within {seconds:.0f} s"
            self._is_read()  # who waits to open it has it open from now on
            time.sleep(0.02)
        reader = new.pop()
        self._told.add(reader)
        return reader

    def _is_read(self) -> bool:
        with contextlib.suppress(OSError):  # nobody has it open
            self._writers.append(os.open(self._path, os.O_WRONLY | os.O_NONBLOCK))
            return True
        return False

    def readers(self) -> list[int]:
        """The processes that have the pipe open, but this one."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal() and int(folder.name) != os.getpid() and _has_open(folder / "fd", self._path):
                found.append(int(folder.name))
        return found

    def release(self) -> None:
        """Put the image back; who waits for the pipe still waits."""
        if self._aside.exists():
            self._aside.rename(self._path)


def _has_open(folder: Path, path: Path) -> bool:
    try:
        return any(os.readlink(folder / name) == str(path) for name in os.listdir(folder))
    except OSError:
        return False
