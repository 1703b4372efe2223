"""Ends what a cluster of our own has started, when its command is gone: also when that was killed without a word.

Run as a program of its own, `python -I -S warden.py FOLDER`, with nothing but the standard library. It waits for the
end of its input, which comes when the command closes it or ends in whatever way. Then every process that carries the
mark of the folder in its environment is ended, and the folder is removed. Ray's processes mostly notice by themselves
that they are alone, some of them only after half a minute.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MARK = "HCS_RAY_FOLDER"
"""Environment variable that Ray's processes carry, with the folder that they belong to."""
SECONDS_TO_END = 5.0


def start_warden(folder: Path) -> subprocess.Popen[bytes]:
    """Return a warden of a folder; closing its input makes it put everything away."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter, this file and a folder that we made
        [sys.executable, "-I", "-S", __file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the command
    )


def dismiss_warden(warden: subprocess.Popen[bytes]) -> None:
    """Have a warden put everything away, and wait for it."""
    if warden.stdin is not None:
        warden.stdin.close()
    with suppress(subprocess.TimeoutExpired):  # it goes on without us
        warden.wait(timeout=2 * SECONDS_TO_END)


def main(folder: str) -> None:
    """Wait for the end of the command, then put away what it started."""
    sys.stdin.buffer.read()
    give_up = time.monotonic() + SECONDS_TO_END
    while (left := list(_marked(folder))) and time.monotonic() < give_up:
        for pid in left:
            _kill(pid)
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def _marked(folder: str) -> Iterator[int]:
    """Yield the processes of this user that carry the mark of a folder."""
    mark = f"{MARK}={folder}".encode()
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/environ", "rb") as stream:
                    if mark in stream.read().split(b"\0"):
                        yield int(name)
            except OSError:  # it ended meanwhile, or is somebody else's
                continue


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main(sys.argv[1])
