"""What one actor does: it holds every encoder of a run and performs whole units."""

from __future__ import annotations

import hashlib
import os
import socket
import zlib
from functools import cache
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Literal

import ray

import hcs
import hcs.errors
import schemas
from hcs.catalog import owner_of_this_process
from hcs.errors import HcsError
from schemas.screen import Record
from schemas.work import RunPin, UnitOutcome, UnitSpec, WorkOrder

if TYPE_CHECKING:
    from hcs.pipeline.stopwatch import Stopwatch
    from hcs.pipeline.workbench import Workbench


class Greeting(Record):
    """Who a worker is."""

    host: str
    pid: int
    owner: str
    version: str
    code: str

    def __str__(self) -> str:
        return f"{self.host} (process {self.pid})"


class Answer(Record):
    """What a worker says when it was asked to do something: its result, or the error that explains why not."""

    outcome: UnitOutcome | None = None
    pin: RunPin | None = None
    token: str | None = None
    error: str | None = None
    error_class: str | None = None

    def check(self) -> None:
        """Raise the worker's error here.

        Raises:
            HcsError: The class that the worker named.
        """
        if self.error is not None:
            kind = getattr(hcs.errors, self.error_class or "HcsError", HcsError)
            raise kind(self.error)


class UnitWorker:
    """One process of the pool. Nothing heavy is imported before the first call that needs it."""

    def __init__(self, readers: int) -> None:
        """Make an idle worker.

        Args:
            readers: Threads that read and prepare sites ahead of the engine.
        """
        self._readers = readers
        self._bench: Workbench | None = None
        self._watches: dict[str, Stopwatch] = {}

    def greet(self) -> str:
        """Return who this is."""
        return Greeting(
            host=socket.gethostname(),
            pid=os.getpid(),
            owner=owner_of_this_process(),
            version=hcs.__version__,
            code=code_digest(),
        ).model_dump_json()

    def pin(self, n_planes_a_site: int, device: Literal["cpu", "cuda"]) -> str:
        """Return the pin that this process honours."""
        from hcs.embedding.engine import pin_for  # noqa: PLC0415 - imports torch

        try:
            return Answer(pin=pin_for(n_planes_a_site, device=device)).model_dump_json()
        except HcsError as error:
            return _refusal(error)

    def open(self, order: str, token: str) -> str:
        """Make ready for the units of a run: honour its pin, load its encoders, and write into its parts folder."""
        from hcs.pipeline.handshake import answer_token  # noqa: PLC0415 - as above
        from hcs.pipeline.workbench import Workbench  # noqa: PLC0415 - as above

        asked = WorkOrder.model_validate_json(order)
        try:
            answered = answer_token(asked, token)
            self._bench = Workbench(readers=self._readers)
            self._bench.load(asked.encoders, pin=asked.pin)
        except HcsError as error:
            return _refusal(error)
        return Answer(token=answered).model_dump_json()

    def perform(self, packed: bytes) -> str:
        """Return the outcome of a unit; an error that is not the unit's is told as such."""
        from hcs.pipeline.outcomes import outcome_of  # noqa: PLC0415 - as above
        from hcs.pipeline.stopwatch import Stopwatch  # noqa: PLC0415 - as above

        spec, bench = unpacked(packed), self._bench
        if bench is None:
            return _refusal(HcsError("a worker was given a unit before it was opened"))
        watch = self._watches.setdefault(spec.key, Stopwatch())
        try:
            return Answer(outcome=outcome_of(spec, lambda: bench.perform(spec, watch=watch))).model_dump_json()
        except HcsError as error:
            return _refusal(error)
        finally:
            del self._watches[spec.key]

    @ray.method(concurrency_group="looks")
    def steps(self) -> dict[str, str]:
        """Return how far the unit under work is; answered while it is worked on."""
        return {key: watch.moved().model_dump_json() for key, watch in list(self._watches.items())}

    @ray.method(concurrency_group="vigil")
    def keep_vigil(self) -> None:
        """Never return: that this call fails tells at once that the process is gone, also while it has no unit."""
        Event().wait()


def packed(spec: UnitSpec) -> bytes:
    """Return a unit as it travels: some kilobytes, whatever its number of images."""
    return zlib.compress(spec.model_dump_json().encode())


def unpacked(content: bytes) -> UnitSpec:
    """Return the unit that `packed` was given."""
    return UnitSpec.model_validate_json(zlib.decompress(content))


@cache
def code_digest() -> str:
    """Return the digest of the project's own code in this process: a version does not tell two checkouts apart."""
    digest = hashlib.sha256()
    for package in (hcs, schemas):
        folder = Path(package.__path__[0])
        for path in sorted(folder.rglob("*.py")):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _refusal(error: HcsError) -> str:
    return Answer(error=f"{socket.gethostname()}: {error}", error_class=type(error).__name__).model_dump_json()
