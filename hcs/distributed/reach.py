"""Looks whether a Ray cluster answers at an address, in a process of its own that can be given up.

Ray waits long for a cluster that is not there, and some of what can go wrong ends the whole process that asks.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from hcs.errors import UsageError

SECONDS_TO_ANSWER = 20.0
SECONDS_TO_OPEN = 5.0

_LOOK = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR", configure_logging=False)
sys.stdout.write("REACHED " + ray.__version__ + "\\n")
sys.stdout.flush()
ray.shutdown()
"""


@dataclass(frozen=True)
class _Answer:
    is_reached: bool
    said: str


def check_reachable(address: str, *, seconds: float = SECONDS_TO_ANSWER) -> None:
    """Return if a process of this machine can join the cluster at an address.

    Args:
        address: `HOST:PORT` of the head, or `auto` for the cluster of this machine.
        seconds: How long to wait.

    Raises:
        UsageError: If it cannot be joined; the message holds what Ray says.
    """
    if not re.fullmatch(r"auto|(ray://)?[\w.-]+:\d{1,5}|(ray://)?\[[0-9a-fA-F:]+\]:\d{1,5}", address):
        raise UsageError(
            f"expected --address HOST:PORT of a Ray cluster, or auto for the one of this machine, got {address!r}"
        )
    if address.startswith("ray://"):
        raise UsageError(
            f"expected --address HOST:PORT of a cluster that this machine is a node of, got {address}: the coordinator "
            "reads parts and the catalog, so that it runs inside the cluster. Start the command on a node, with "
            "--address auto"
        )
    closed = None if address == "auto" else _knock(address)
    answer = _Answer(is_reached=False, said=closed) if closed else _look(address, seconds=seconds)
    if not answer.is_reached:
        raise UsageError(_unreached(address, answer))


def _unreached(address: str, answer: _Answer) -> str:
    """Return why a cluster was not reached, and what to do about it."""
    if "AuthToken" in answer.said or "Unauthenticated" in answer.said:
        return (
            f"expected to be let into the Ray cluster at {address}, but it asks for a token that was not given or is "
            "another one; set RAY_AUTH_MODE=token, and the token itself in RAY_AUTH_TOKEN or in ~/.ray/auth_token, as "
            "its nodes have it"
        )
    if address == "auto":
        return (
            f"expected a Ray cluster that this machine is a node of, but none was found ({answer.said}); start one "
            "with `ray start --head`, join one with `ray start --address HOST:PORT`, or leave --address out to use "
            "this machine alone"
        )
    return (
        f"expected a Ray cluster at {address} that this machine is a node of, but it was not reached ({answer.said}); "
        f"see `ray status --address {address}`, join with `ray start --address {address}` on this machine, or leave "
        "--address out to use this machine alone"
    )


def _knock(address: str) -> str | None:
    """Return why nothing can be there, where that is known at once: no such host, or a port that nobody listens at."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_OPEN).close()
    except (OSError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _look(address: str, *, seconds: float) -> _Answer:
    with tempfile.TemporaryDirectory() as empty:  # what lies in the user's folder must not be imported there
        try:
            ended = subprocess.run(  # noqa: S603 - our own interpreter and code, the address is one argument
                [sys.executable, "-P", "-c", _LOOK, address],
                cwd=empty,
                env=dict(os.environ, RAY_USAGE_STATS_ENABLED="0"),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            heard = expired.stderr or b""  # bytes, although text was asked for
            is_refused = b"AuthToken" in (heard if isinstance(heard, bytes) else heard.encode())
            said = "InvalidAuthToken" if is_refused else f"nothing answered as Ray does within {seconds:.0f} s"
            return _Answer(is_reached=False, said=said)
    return _Answer(is_reached="REACHED" in ended.stdout, said=_last_words(ended.stderr))


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line.split(":", 1)[0]]
    words = (errors or lines or ["it said nothing"])[-1]
    return words if len(words) <= 300 else words[:297] + "..."
