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

    def wait_for_reader(self) -> int:
        """Return the process that waits for the image: it is in the middle of its unit."""
        known = set(self.readers())
        self.wait_until_read()
        give_up = time.monotonic() + 10
        while not (new := set(self.readers()) - known):
            assert time.monotonic() < give_up, f"who reads {self._path.name} cannot be told"
            time.sleep(0.02)
        return new.pop()

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
        return any(os.readlink(entry.path) == str(path) for entry in os.scandir(folder))
    except OSError:
        return False
