"""What a process of its own does: start, be warm, and do what is timed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter as clock
from typing import Any

from pools.device import share_of_gpu
from pools.figures import Found
from pools.processes import MARK, hold_workers
from pools.runs import perform, prepare, started
from pools.screens import B

PROGRAM = Path(__file__).resolve().parents[1] / "pool.py"
"""Does one task, and nothing else, where it is called with `--one`."""


def run_once(*, warm: str, screen: str, is_held: bool, device: str, **options: Any) -> Found:
    """Return what a run cost on an executor that has performed another before."""
    folder = Path(tempfile.mkdtemp())
    try:
        with started(device=device, **options) as on:
            first = perform(warm, folder / "warm", on)
            if is_held:
                hold_workers()
            with share_of_gpu(device) as share:
                found = perform(screen, folder / "timed", on, to_the_end=True)
            found["gpu_share"] = share(*found["between"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    specs = found.pop("specs")
    if options["kind"] == "ray":
        from hcs.distributed.worker import packed

        found["largest_spec"] = max(len(packed(spec)) for spec in specs)
    starting = {"cluster_up": on.cluster_up, "first_ready": first["first_ready"], "all_ready": first["all_ready"]}
    return found | starting


def compare_costs(*, warm: list[str], screens: list[str], rounds: int) -> Found:
    """Return wall and CPU seconds of runs with one encoder and with two, and of the second's forwards alone."""
    from line import site_tiles

    from hcs.embedding.loading import load_encoder

    prepared = prepare(screens[1])
    info = next(info for info in prepared.encoders if info.name == B)
    encoder, batch_size = load_encoder(info), prepared.pin.batch_size
    tiles = site_tiles(Path(screens[1]), n_sites=len(prepared.plates[0].planes))
    planes = [site.swapaxes(0, 1).reshape(-1, *site.shape[2:]).copy() for site in tiles]
    found: dict[str, list[Any]] = defaultdict(list)

    def forward() -> tuple[float, float]:
        start, start_cpu = clock(), time.process_time()
        for site in planes:
            encoder.embed(site, batch_size=batch_size)
        return clock() - start, time.process_time() - start_cpu

    options = {"kind": "local", "workers": 1, "readers": 0, "device": "cpu"}
    thread = ThreadPoolExecutor(1)  # as units are: memory is given out otherwise on the main thread
    with tempfile.TemporaryDirectory() as folder, started(**options) as on, thread:
        thread.submit(forward).result()
        for number, screen in enumerate(warm):
            perform(screen, Path(folder, f"warm-{number}"), on)
        for turn in range(rounds):
            for side, screen in zip(("A", "A+B"), screens, strict=True):
                told = perform(screen, Path(folder, f"{side}-{turn}"), on)
                found[side].append((told["window"], told["window_cpu"]))
            found["B in the receipts"].append(told["stops"][f"embed {B}"])
            found["B"].append(thread.submit(forward).result())
    return found


def bare_loops(*, screen: str, tile: int, device: str) -> Found:
    """Return the planes of a site, and the planes a second of a bare loop of every encoder, one after another."""
    from accelerator import BareLoop, compare, make_sites, planes_a_second

    from hcs.embedding.engine import honour_pin, pin_for
    from hcs.embedding.loading import load_encoder

    asked: list[int] = []

    def pin_of(n_planes: int) -> Any:
        asked.append(n_planes)
        return pin_for(n_planes, device="cuda" if device == "cuda" else "cpu")

    prepared = prepare(screen, pin=pin_of)
    n_planes, pin = asked[0], prepared.pin
    honour_pin(pin)
    sites = make_sites(n_planes=n_planes, side=tile)
    speeds, differences = {}, {}
    for info in prepared.encoders:
        bare = BareLoop(info, sites[0], device=pin.device, batch_size=pin.batch_size)
        differences[info.name] = compare(load_encoder(info, device=pin.device), bare, sites, pin=pin)[1]["difference"]
        bare.compute(3)
        speeds[info.name] = planes_a_second(bare.compute, n_planes=bare.n_planes, seconds=0.5)
    return {"n_planes": n_planes, "batch_size": pin.batch_size, "planes_a_second": speeds, "differences": differences}


CHILDREN: dict[str, Callable[..., Found]] = {"run": run_once, "costs": compare_costs, "bare": bare_loops}


def in_child(task: str, **arguments: Any) -> Found:
    """Return what a task gives in a process of its own: no cluster, thread or loaded encoder is left over from it."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "told.json")
        command = [sys.executable, str(PROGRAM), "--one", task, json.dumps(arguments), str(told)]
        environment = os.environ | {MARK: uuid.uuid4().hex}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{task} ended with {done.returncode}: {(done.stdout + done.stderr)[-6000:]}"
        found: Found = json.loads(told.read_text())
        return found
