"""A Ray cluster for one command: one of its own on this machine that ends with it, or one that is there already."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
import structlog

from hcs.catalog import is_dead_here, owner_of_this_process
from hcs.distributed.reach import check_reachable
from hcs.distributed.room import Node, nodes_of
from hcs.distributed.warden import MARK, dismiss_warden, start_warden
from hcs.errors import EngineError, StorageError

log = structlog.get_logger(__name__)

FOLDER = "hcs-ray-"
OWNER = "owner"
OBJECT_STORE_BYTES = 100 << 20
"""Little: descriptions and receipts of some kilobytes are all that travels."""
NOT_FOR_WORKERS = ("HCS_CATALOG", "PGPASSWORD")
"""Variables that Ray's processes do not get: the address of a catalog may hold a password, and the other is one."""
SECONDS_TO_LEAVE = 5.0
SECONDS_TO_BE_NAMED = 60.0
LONGEST_FOLDER = 45
"""Ray makes sockets in its folder, and the path of a socket has at most 107 bytes."""


class Cluster:
    """A connection to Ray. `close` leaves what was there before, and nothing else."""

    def __init__(self, *, address: str | None) -> None:
        """Remember where to go; nothing is started yet.

        Args:
            address: Of a cluster that runs; None starts one on this machine.
        """
        self._address = address
        self._folder: Path | None = None
        self._warden: subprocess.Popen[bytes] | None = None
        self._is_ours = False

    @property
    def is_own(self) -> bool:
        """Whether the cluster is one that this object starts and ends."""
        return self._address is None

    @property
    def is_joined(self) -> bool:
        """Whether this process is in a cluster already, started by somebody else."""
        return not self._is_ours and ray.is_initialized()

    def start(self, *, cpus: int, with_gpus: bool) -> None:
        """Start the cluster, or join it.

        Args:
            cpus: Logical processors of a cluster of our own.
            with_gpus: Whether it offers this machine's GPUs.

        Raises:
            UsageError: If the cluster at the address cannot be reached.
            EngineError: If Ray does not start here.
        """
        if self._is_ours:
            return
        if ray.is_initialized():
            log.info("using the Ray cluster that this process has joined already")
            return
        if self._address is None:
            self._is_ours = True
            self._start_own(cpus=cpus, with_gpus=with_gpus)
        else:
            check_reachable(self._address)
            self._is_ours = True
            with tempfile.TemporaryDirectory() as empty:
                _initialize(Path(empty), address=self._address)

    def nodes(self) -> tuple[Node, ...]:
        """Return the living nodes."""
        return nodes_of(ray.nodes())  # type: ignore[no-untyped-call]  # Ray leaves it untyped

    def free(self) -> str:
        """Return what is free now, in words."""
        available = ray.available_resources()  # type: ignore[no-untyped-call]  # as above
        return f"{available.get('CPU', 0.0):g} CPU and {available.get('GPU', 0.0):g} GPU are free of it now"

    @property
    def ends_with_us(self) -> bool:
        """Whether closing ends the cluster and everything in it."""
        return self._warden is not None

    def close(self) -> None:
        """Leave the cluster; one of our own ends, with its processes and its folder, also where it does not answer."""
        leaving = None
        if self._is_ours and ray.is_initialized():
            leaving = _begin(ray.shutdown)
            leaving.join(SECONDS_TO_LEAVE)
            if leaving.is_alive():
                log.warning("Ray does not answer any more; what was started of it is ended")
        self._is_ours = False
        if self._warden is not None:
            dismiss_warden(self._warden)
            self._warden = None
            if leaving is not None:  # what it waited for is gone; it may make its folder once more before it notices
                leaving.join(SECONDS_TO_LEAVE)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _start_own(self, *, cpus: int, with_gpus: bool) -> None:
        sweep()
        self._folder = _make_folder()
        self._warden = start_warden(self._folder)
        # Its ports are open to every user of the machine and to the network: only who has the token is let in. Ray asks
        # for one by itself where nothing is said of it; this one lives as long as the process, since Ray keeps it.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ[MARK] = str(self._folder)
        secrets_of_ours = {name: os.environ.pop(name) for name in NOT_FOR_WORKERS if name in os.environ}
        try:
            _initialize(
                self._folder,
                address="local",
                num_cpus=cpus,
                num_gpus=None if with_gpus else 0,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(self._folder),
                _system_config={"worker_niceness": 0},  # 15 by default: everything else on the machine would go first
            )
        except Exception as error:
            self.close()
            raise EngineError(
                f"expected Ray to start on this machine, but it did not ({type(error).__name__}: {error}); try "
                "`hcs doctor`, or perform the run in this process with --executor local"
            ) from error
        finally:
            del os.environ[MARK]
            os.environ.update(secrets_of_ours)


def _initialize(folder: Path, **options: Any) -> None:
    """Connect this process to Ray, quietly, without leaving Ray's traces in it.

    Ray puts the present folder before everything else that its workers import from: a `schemas.py` of the user would be
    taken for ours. So it is started from another folder, which must stay if the workers are to start in it: MKL does
    not load where the present folder is gone.
    """
    with contextlib.chdir(folder), _deferred_interrupts():
        ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **options)


@contextlib.contextmanager
def _deferred_interrupts() -> Iterator[None]:
    """Keep a request to end until the context is over, and be interrupted then.

    Where processes are forked and objects deleted, Python swallows an exception that a signal raises; and while Ray
    starts, it takes SIGTERM for itself, with a handler that raises one. So nobody sets another handler meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are not for it
        yield
        return
    asked: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: asked.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    set_handler = signal.signal
    signal.signal = lambda number, handler: (  # type: ignore[assignment]  # put back below
        signal.getsignal(number) if number in before else set_handler(number, handler)
    )
    try:
        yield
    finally:
        signal.signal = set_handler
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        signal.raise_signal(signal.SIGINT)


def in_time(function: Callable[[], object], *, seconds: float) -> bool:
    """Return whether a function came to its end within a time; what it raises is as good as an end.

    It goes on in a thread that keeps nobody from ending: some calls of Ray wait for ever for a process that is stopped.
    """
    thread = _begin(function)
    thread.join(timeout=seconds)
    return not thread.is_alive()


def _begin(function: Callable[[], object]) -> threading.Thread:
    """Return the thread in which a function is called; what it raises is dropped."""

    def perform() -> None:
        with contextlib.suppress(Exception):
            function()

    thread = threading.Thread(target=perform, name="in time", daemon=True)
    thread.start()
    return thread


def _make_folder() -> Path:
    """Return a new folder for Ray's sockets and logs, with a short path and the name of its owner in it.

    Raises:
        StorageError: If there is no place for one.
    """
    for place in dict.fromkeys([tempfile.gettempdir(), "/tmp", "/dev/shm"]):  # noqa: S108 - a folder of our own in it
        if len(place) > LONGEST_FOLDER - len(FOLDER) - 8 or not os.access(place, os.W_OK):
            continue
        folder = Path(tempfile.mkdtemp(prefix=FOLDER, dir=place))
        (folder / OWNER).write_text(owner_of_this_process())
        return folder
    raise StorageError(
        f"expected a folder with a path of less than {LONGEST_FOLDER} characters for Ray's sockets, but none of TMPDIR "
        "and the system's folders can be written; set TMPDIR to one, or use --executor local"
    )


def sweep() -> None:
    """Remove the folders of commands of this user that were killed together with their wardens."""
    for folder in _left_behind():
        log.info("folder of a command that was killed is removed", folder=str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def _left_behind() -> Iterator[Path]:
    for place in dict.fromkeys([tempfile.gettempdir(), "/tmp", "/dev/shm"]):  # noqa: S108 - as above
        for folder in Path(place).glob(f"{FOLDER}*"):
            with contextlib.suppress(OSError):  # somebody else's, or gone meanwhile
                if folder.stat().st_uid == os.getuid() and _is_nobodys(folder):
                    yield folder


def _is_nobodys(folder: Path) -> bool:
    """Return whether the command that made a folder is gone; one without a name is either brand-new or left over."""
    owner = folder / OWNER
    if owner.exists():
        return is_dead_here(owner.read_text())
    return time.time() - folder.stat().st_mtime > SECONDS_TO_BE_NAMED
