"""Says who holds a lease, so that the leases of a process that died here are broken at once."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

_PROC = Path("/proc")
_UNKNOWN = "-"


def owner_of_this_process() -> str:
    """Return a name for one coordinator in this process: `host/process id/start of the process/random`.

    A process id is given again after a process ends, and a restarted container keeps its host name: the start of the
    process and the random part tell them apart.
    """
    pid = os.getpid()
    return f"{_host()}/{pid}/{_start_of(pid)}/{secrets.token_hex(4)}"


def is_dead_here(owner: str) -> bool:
    """Return whether an owner was a process of this machine that lives no more.

    Of a process elsewhere, in another container or before the last start of the machine nothing is known: its leases
    end by the database's clock.
    """
    host, _, rest = owner.rpartition("/")[0].partition("/")
    pid, _, start = rest.partition("/")
    return host == _host() and pid.isdecimal() and not _is_alive(int(pid), start)


def is_alive_here(owner: str) -> bool:
    """Return whether an owner is a process of this machine that lives; of one elsewhere nothing is known."""
    return owner.partition("/")[0] == _host() and not is_dead_here(owner)


def _host() -> str:
    """Return a name of what process ids are counted in: host, start of the machine, and name space."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()[:8]
        space = os.readlink(_PROC / "self/ns/pid").strip("pid:[]")
    except OSError:  # no Linux: a process id alone must do
        return socket.gethostname()
    return f"{socket.gethostname()}.{boot}.{space}"


def _is_alive(pid: int, start: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists, and belongs to someone else
    return _UNKNOWN in (start, _start_of(pid)) or _start_of(pid) == start


def _start_of(pid: int) -> str:
    """Return when a process started, in ticks of the machine, `ended` of a zombie, or `-` where nobody says."""
    try:
        status = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return _UNKNOWN
    state, *fields = status.rpartition(") ")[2].split()  # the name before it may hold blanks and brackets
    return "ended" if state in "ZX" else fields[18]
