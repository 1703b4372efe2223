"""One run on one executor: start it, open it, perform the units, and tell what they cost."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter as clock
from typing import Any, NamedTuple

from pools.figures import Found
from pools.processes import cores, cpu_seconds

SECONDS_TO_JOIN = 300.0


def prepare(screen: str, **options: Any) -> Any:
    """Return the prepared run of a screen."""
    from hcs.io.screen import load_screen
    from hcs.pipeline.submission import prepare_run
    from hcs.settings import Settings

    return prepare_run(load_screen(screen), settings=Settings(offline=True), **options)


class Watched:
    """Passes everything on to an executor, and notes when the first unit that embeds is handed over."""

    def __init__(self, executor: Any) -> None:
        """Watch an executor."""
        self.executor = executor
        self.specs: list[Any] = []
        self.receipts: list[Any] = []
        self.first: tuple[float, float] | None = None
        self.last = (0.0, 0.0)
        self.own_cpu = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)

    def submit(self, spec: Any) -> None:
        """Note the time, wall and CPU, before the first unit that embeds."""
        if spec.kind == "embed":
            self.first = self.first or (clock(), time.process_time())
            self.specs.append(spec)
        self.executor.submit(spec)

    def came(self, spec: Any, outcome: Any) -> None:
        """Note the time when an outcome is committed."""
        assert outcome.receipt is not None, outcome.reason
        self.last = (clock(), time.process_time())
        self.own_cpu += sum(outcome.receipt.seconds.values())
        if spec.kind == "embed":
            self.receipts.append(outcome.receipt)

    def told(self) -> Found:
        """Return what was noted: seconds of the window, of the units by stop, and sizes."""
        assert self.first is not None
        stops: Counter[Any] = Counter()
        for receipt in self.receipts:
            stops.update(receipt.seconds)
        return {
            "window": self.last[0] - self.first[0],
            "window_cpu": self.last[1] - self.first[1],
            "between": (self.first[0], self.last[0]),
            "stops": stops,
            "own_cpu": self.own_cpu,
            "n_units": len(self.specs),
            "n_sites": sum(receipt.n_sites for receipt in self.receipts),
            "n_images": sum(len(spec.planes) for spec in self.specs),
            "largest_receipt": max(len(receipt.model_dump_json().encode()) for receipt in self.receipts),
        }


class Started(NamedTuple):
    """An executor, how many units it takes when all its workers are ready, and how long its cluster took to start."""

    executor: Any
    capacity: int
    cluster_up: float = 0.0


@contextmanager
def started(*, kind: str, workers: int, readers: int, device: str) -> Iterator[Started]:
    """Yield an executor; in the end it is closed, and its cluster ends."""
    if kind == "local":
        from hcs.pipeline.local import LocalExecutor

        executor: Any = LocalExecutor(threads=workers, readers=readers, device=device)
        try:
            yield Started(executor, workers + 1)
        finally:
            executor.close()
        return
    from hcs.distributed.cluster import Cluster
    from hcs.distributed.pool import UNITS_A_WORKER, RayExecutor

    cluster = Cluster(address=None)
    start = clock()
    cluster.start(cpus=max(cores(), workers * readers), with_gpus=device == "cuda")
    seconds = clock() - start
    gpus = 1 / workers if device == "cuda" else None
    executor = RayExecutor(device=device, workers=workers, cpus=readers, gpus=gpus)
    try:
        yield Started(executor, UNITS_A_WORKER * workers, seconds)
    finally:
        executor.close()  # it joined the cluster, and leaves it
        cluster.close()


def open_all(on: Started, order: Any) -> dict[str, float]:
    """Open an executor and return the seconds until its first worker was ready, and all of them."""
    start = clock()
    on.executor.open(order)
    first = clock() - start
    while on.executor.capacity() < on.capacity:
        on.executor.wait(0.1)
        assert clock() - start < SECONDS_TO_JOIN, "some workers did not become ready"
    return {"first_ready": first, "all_ready": clock() - start}


def perform(screen: str, store: Path, on: Started, *, to_the_end: bool = False) -> Found:
    """Perform the units of a run and return what they cost; where asked, finish it too, and hash its export."""
    from hcs import __version__
    from hcs.catalog import get_run, open_catalog, set_run_state
    from hcs.pipeline.coordinator import Coordinator
    from hcs.pipeline.export import export_run
    from hcs.pipeline.finish import finish_run
    from hcs.pipeline.registering import register
    from schemas.work import RunState, WorkOrder

    store.mkdir(parents=True)
    start, watched = clock(), Watched(on.executor)
    with open_catalog(str(store / "catalog.sqlite")) as catalog:
        prepared = prepare(screen, pin=on.executor.pin)
        run = set_run_state(catalog, register(catalog, prepared).run.id, RunState.RUNNING)
        delivered = clock() - start
        pin, encoders = prepared.pin, prepared.encoders
        places = {"parts_uri": catalog.parts_uri, "parts_folder": run.name}
        opened = open_all(on, WorkOrder(run=run.name, code_version=__version__, pin=pin, encoders=encoders, **places))
        start, cpu = clock(), cpu_seconds()
        Coordinator(catalog, run, prepared, executor=watched, on_progress=watched.came).perform()
        found = watched.told() | opened | {"units": clock() - start, "cpu": dict(cpu_seconds() - cpu)}
        if not to_the_end:
            return found
        start = clock()
        finish_run(catalog, run)
        found["line"] = delivered + found["units"] + clock() - start
        names = sorted(export_run(catalog, get_run(catalog, run.id), str(store / "export"), ending="parquet"))
    digests = {name: hashlib.sha256((store / "export" / name).read_bytes()).hexdigest() for name in names}
    return found | {"digests": digests, "specs": watched.specs}
