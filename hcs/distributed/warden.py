"""Ends what a cluster of our own has started, when its command is gone: also when that was killed without a word.

Run as a program of its own, `python -I -S warden.py FOLDER`, with nothing but the standard library. It waits for the
end of its input, which comes when the command closes it or ends in whatever way. Then every process of the cluster is
ended, and the folder is removed. Ray's processes mostly notice by themselves that they are alone, some of them only
after half a minute, and an agent that is just starting never does.
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
TITLE = b"ray::"
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
    while (left := list(_processes_of(folder))) and time.monotonic() < give_up:
        for pid in left:
            _kill(pid)
        time.sleep(0.05)
    while True:
        shutil.rmtree(folder, ignore_errors=True)  # what is dying may still have written into it
        if not Path(folder).exists() or time.monotonic() >= give_up:
            return
        time.sleep(0.05)


def _processes_of(folder: str) -> Iterator[int]:
    """Yield the processes of this user that belong to the cluster of a folder."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                if _is_marked(name, folder) or _is_titled_by_ray(name, folder):
                    yield int(name)
            except OSError:  # it ended meanwhile, or is somebody else's
                continue


def _is_marked(pid: str, folder: str) -> bool:
    with open(f"/proc/{pid}/environ", "rb") as stream:
        return f"{MARK}={folder}".encode() in stream.read().split(b"\0")


def _is_titled_by_ray(pid: str, folder: str) -> bool:
    """Return whether a process has taken one of Ray's titles and stands in the folder.

    A title is written over the beginning of the environment, in which the mark may have stood.
    """
    with open(f"/proc/{pid}/cmdline", "rb") as stream:
        return stream.read().startswith(TITLE) and os.readlink(f"/proc/{pid}/cwd") == os.path.realpath(folder)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main(sys.argv[1])
