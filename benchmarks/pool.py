"""The pool of Ray workers against one process, against a bare loop of the same encoders, and against its own size.

    python benchmarks/pool.py [--parts 1 2 3 4] [--rounds 3] [--quick] [--json FILE]
    python benchmarks/pool.py --device cuda [--quick] [--workers 1 2 4] [--site-pixels 1080 --tile 224]

1. Ray against the local executor: the same units of about 10 s each, as many at once. The exports of both are the same
   bytes before any time is looked at. On a GPU, the images a second of a bare loop stand beside it, and the share of
   time in which the GPU computes.
2. Sites a second of the line on Ray against the bare loop of benchmarks/line.py, on its screen.
3. From 1 to 2 workers: as they are (each reads ahead with a second thread), and each held to one core.
4. A second encoder costs what it computes: a run with two encoders less a run with one, against the forwards alone.
5. The largest receipt and the largest description of a unit that the others saw, and what starting Ray takes.

Every run has a process of its own, which starts Ray or the threads, loads the encoders, performs a small screen to be
warm, and then what is timed: from the first unit that embeds handed over until the last outcome was committed. Sides
are timed in turn, a figure is the ratio of their medians, and nothing fails where a target is not met. CPU seconds are
those of all processes of a run, the coordinator's and Ray's own too: other programs on the machine disturb them less
than wall seconds. Ray's workers have the priority of any other process here: its own choice, niceness 15, would let
other programs go before them and not before the local executor. Weights are random and lie in files, so that any
version of torch will do (but for part 2 on the CPU, whose bare loop is that of line.py).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from demo_memory import MARK, kind_of, marked

A, B = "mobilenetv3_small_100", "pvt_v2_b0"
ON_A_GPU = ("pvt_v2_b0", "mobilenetv3_large_100", "swin_tiny_patch4_window7_224")
WELLS = tuple(f"A{number:02d}" for number in range(1, 9))
"""Of a plate that is composed here: each is one unit, however many sites it has."""
HOW = ("held", "free")
PATTERN = "{well}_s{site}_w{channel}.tif"
SECONDS_TO_JOIN = 300.0
clock = time.perf_counter
Found = dict[str, Any]


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


# Screens


def write_weights(folder: Path, architecture: str) -> dict[str, str]:
    """Write a backbone's random numbers into a file and return the encoder as a SCREEN.yaml names it."""
    from safetensors.torch import save_file

    from hcs.embedding.backbones import create_untrained_backbone

    path = folder / f"{architecture}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        state = create_untrained_backbone(architecture).state_dict()
        save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, path)
    return {"name": architecture, "weights": str(path)}


def simulated_sites(folder: Path, *, wells: int) -> tuple[list[str], list[Any]]:
    """Return the channels of a simulated plate, and the pixels (C, Y, X) of its sites."""
    import numpy as np

    from hcs.io.layouts import read_delivery
    from hcs.io.pixels import read_plane
    from hcs.io.screen import load_screen
    from hcs.io.storage import join
    from hcs.simulation.deliver import simulate_screen
    from hcs.simulation.design import small_design

    simulated = simulate_screen(str(folder), design=small_design(plates=1, wells=wells), seed=5, workers=cores())
    config = load_screen(simulated.screen_file)
    delivery = read_delivery(config.plates[0], config)
    rows = delivery.images.sort("well", "site", "channel")
    channels = sorted(rows["channel"].unique())
    paths = [rows["relative_path"][at : at + len(channels)] for at in range(0, rows.height, len(channels))]
    return channels, [np.stack([read_plane(join(delivery.uri, path)).pixels for path in site]) for site in paths]


def write_fields(folder: Path, sites: list[Any], *, n_fields: int, side: int, compression: str | None) -> None:
    """Write fields as TIFFs, one a channel: simulated sites beside one another until a field has its size."""
    import numpy as np
    import tifffile

    folder.mkdir()
    n = -(-side // sites[0].shape[-1])
    rng = np.random.default_rng(0)
    chosen = [[field] if n == 1 else rng.integers(len(sites), size=n * n) for field in range(n_fields)]
    options: Found = {"compression": compression, "predictor": 2} if compression else {}

    def write(field: int) -> None:
        parts = [sites[index] for index in chosen[field]]
        rows = [np.concatenate(parts[at : at + n], axis=2) for at in range(0, n * n, n)]
        for channel, plane in enumerate(np.concatenate(rows, axis=1)[:, :side, :side]):
            tifffile.imwrite(folder / f"{field}_{channel}.tif", plane, photometric="minisblack", **options)

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(write, range(n_fields)))


class Composer:
    """Makes deliveries of any size of the same few fields: a site is a link to one of them."""

    def __init__(self, folder: Path, *, options: argparse.Namespace) -> None:
        """Simulate a plate, and write its sites as fields of the size that was asked for."""
        self.folder, self.tile, self.fields = folder, options.tile, folder / "fields"
        self.channels, sites = simulated_sites(folder / "simulated", wells=24 if options.quick else 96)
        side, compression = options.site_pixels, None if options.compression == "none" else options.compression
        self.n_fields = len(sites) if side <= sites[0].shape[-1] else 16
        write_fields(self.fields, sites, n_fields=self.n_fields, side=side, compression=compression)
        size = sum(path.stat().st_size for path in self.fields.glob("0_*.tif")) / 1e6
        print(
            f"a site: {len(self.channels)} x {side} x {side} pixels, {size:.1f} MB, {options.compression} compression"
        )

    def screen(self, name: str, *, plates: int, sites: int, encoders: Sequence[Any]) -> Path:
        """Write a delivery of so many plates of 8 wells with so many sites each, and return its SCREEN.yaml."""
        import yaml

        folder = self.folder / name
        for plate in range(plates):
            self._link(folder / f"P{plate}", sites=sites, first=plate * len(WELLS) * sites)
        done = ["DMSO"] * 3 + [f"compound-{number}" for number in range(len(WELLS) - 3)]
        rows = [f"{well},{perturbation}" for well, perturbation in zip(WELLS, done, strict=True)]
        (folder / "platemap.csv").write_text("\n".join(["well,perturbation", *rows]) + "\n")
        screen = {
            "screen": name,
            "plates": [{"uri": f"P{plate}", "layout": "files"} for plate in range(plates)],
            "pattern": PATTERN,
            "channels": {str(number): channel for number, channel in enumerate(self.channels)},
            "platemaps": "platemap.csv",
            "encoders": list(encoders),
            "pixels": {"tile": self.tile},
        }
        (folder / "SCREEN.yaml").write_text(yaml.safe_dump(screen))
        return folder / "SCREEN.yaml"

    def _link(self, folder: Path, *, sites: int, first: int) -> None:
        folder.mkdir(parents=True)
        places = [(well, site) for well in WELLS for site in range(1, sites + 1)]
        for number, (well, site) in enumerate(places, start=first):
            for channel in range(len(self.channels)):
                name = PATTERN.format(well=well, site=site, channel=channel)
                os.link(self.fields / f"{number % self.n_fields}_{channel}.tif", folder / name)


def prepare(screen: str, **options: Any) -> Any:
    """Return the prepared run of a screen."""
    from hcs.io.screen import load_screen
    from hcs.pipeline.submission import prepare_run
    from hcs.settings import Settings

    return prepare_run(load_screen(screen), settings=Settings(offline=True), **options)


# What a process of its own does


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


def cpu_seconds() -> Counter[Any]:
    """Return the CPU seconds so far of this process and of all that it started, by kind of process."""
    found: Counter[Any] = Counter()
    for pid, command in marked(os.environ[MARK]).items():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        kind = "this process" if pid == os.getpid() else kind_of(command)
        found[kind] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


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


def hold_workers() -> None:
    """Hold each worker of this process' pool to one core, with all its threads."""
    places = sorted(os.sched_getaffinity(0))
    commands = marked(os.environ[MARK])
    workers = sorted(pid for pid, command in commands.items() if command.startswith("ray::UnitWorker"))
    assert workers, "no worker is there to be held"
    for number, pid in enumerate(workers):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {places[number % len(places)]})


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


@contextmanager
def share_of_gpu(device: str) -> Iterator[Callable[[float, float], float | None]]:
    """Yield a function of two times: the share of the time between them in which the GPU computed, as it tells itself.

    It tells the share of its last sample period (1/6 to 1 s) in which any kernel was under work.
    """
    samples: list[tuple[float, float]] = []
    is_over = threading.Event()

    def sample() -> None:
        ask = gpu_asker()
        while not is_over.wait(0.1):
            samples.append((clock(), ask()))

    def share(start: float, end: float) -> float | None:
        inside = [busy for at, busy in samples if start + 0.5 <= at <= end]
        return statistics.fmean(inside) / 100 if inside else None

    if device == "cuda":
        threading.Thread(target=sample, daemon=True).start()
    try:
        yield share
    finally:
        is_over.set()


def gpu_asker() -> Callable[[], float]:
    """Return a function that asks the first GPU how busy it is, in percent."""
    try:
        import pynvml
    except ImportError:
        command = ["nvidia-smi", "-i", "0", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        return lambda: float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    return lambda: float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)


CHILDREN: dict[str, Callable[..., Found]] = {"run": run_once, "costs": compare_costs, "bare": bare_loops}


def in_child(task: str, **arguments: Any) -> Found:
    """Return what a task gives in a process of its own: no cluster, thread or loaded encoder is left over from it."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "told.json")
        command = [sys.executable, __file__, "--one", task, json.dumps(arguments), str(told)]
        environment = os.environ | {MARK: uuid.uuid4().hex, "RAY_worker_niceness": "0"}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{task} ended with {done.returncode}: {(done.stdout + done.stderr)[-6000:]}"
        found: Found = json.loads(told.read_text())
        return found


# The parts


class Report:
    """What was found, and what was wanted."""

    def __init__(self) -> None:
        """Have found nothing yet."""
        self.rows: list[tuple[str, str, str, str]] = []
        self.figures: Found = {}

    def row(self, what: str, value: float, form: str, *, most: float | None = None, least: float | None = None) -> None:
        """Add a figure, perhaps with its target."""
        target, is_met = "", ""
        if most is not None:
            target, is_met = f"<= {form.format(most)}", "yes" if value <= most else "NO"
        if least is not None:
            target, is_met = f">= {form.format(least)}", "yes" if value >= least else "NO"
        self.rows.append((what, form.format(value), target, is_met))

    def show(self) -> None:
        """Print the table."""
        print(f"\n{'':80s} {'measured':>10s} {'target':>11s}  met")
        for what, value, target, is_met in self.rows:
            print(f"{what:80s} {value:>10s} {target:>11s}  {is_met}".rstrip())


def calibration_seconds() -> float:
    """Return the seconds of a fixed amount of numpy and hashing on one thread: how fast this machine is now."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    matrix = np.random.default_rng(0).random((1024, 1024), dtype=np.float32)
    start = clock()
    with threadpool_limits(1):
        for _ in range(10):
            hashlib.sha256((matrix @ matrix).tobytes())
    return clock() - start


def median(found: Sequence[Found], field: str) -> float:
    """Return the median of a field over rounds."""
    return float(statistics.median(item[field] for item in found))


def refuse_other_exports(runs: Sequence[Found]) -> None:
    """Refuse to go on if runs gave different bytes."""
    expected = runs[0]["digests"]
    for found in (run["digests"] for run in runs):
        differ = sorted(name for name in found | expected if found.get(name) != expected.get(name))
        assert not differ, f"exports differ: {', '.join(differ[:5])}"
    print(f"  exports of {len(runs)} runs are the same bytes, {len(expected)} files each")


class Bench:
    """The parts of the benchmark."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        """Make the fields, the weights and a small screen."""
        self.folder, self.options, self.report = folder, options, Report()
        self.is_on_gpu = options.device == "cuda"
        self.composer = Composer(folder, options=options)
        self.encoders = [write_weights(folder / "weights", name) for name in options.encoders]
        self.warm = self.composer.screen("warm", plates=1, sites=1, encoders=self.encoders)
        self.pools: list[Found] = []

    def run(self, kind: str, screen: Path, *, workers: int, warm: Path | None = None, is_held: bool = False) -> Found:
        """Return one timed run."""
        readers = self.options.readers or (max(1, cores() // workers) if self.is_on_gpu else 1)
        asked = {"warm": str(warm or self.warm), "screen": str(screen), "device": self.options.device}
        found = in_child("run", **asked, is_held=is_held, kind=kind, workers=workers, readers=readers)
        if kind == "ray":
            self.pools.append(found)
        held = ", held" if is_held else ""
        print(f"  {screen.parent.name}: {kind} x{workers}{held}: {found['window']:.2f} s", flush=True)
        return found

    def sites_a_unit(self, seconds: float) -> int:
        """Return how many sites take about so long on one thread; they are tried once."""
        if self.options.sites_a_unit:
            return int(self.options.sites_a_unit)
        if "site_seconds" not in self.report.figures:
            screen = self.composer.screen("trial", plates=1, sites=4, encoders=self.encoders)
            tried = self.run("local", screen, workers=1)
            cost = tried["window"] if self.is_on_gpu else sum(tried["stops"].values())
            self.report.figures["site_seconds"] = cost / tried["n_sites"]
        return max(1, round(seconds / self.report.figures["site_seconds"]))

    def overhead(self) -> None:
        """Part 1: Ray against the local executor, in turn; on a GPU against the bare loop too."""
        options = self.options
        sites = self.sites_a_unit(options.unit_seconds)
        screen = self.composer.screen("overhead", plates=1 if options.quick else 2, sites=sites, encoders=self.encoders)
        found: dict[str, list[Found]] = defaultdict(list)
        bare: list[Found] = []
        for _ in range(options.rounds):
            if self.is_on_gpu:
                bare.append(in_child("bare", screen=str(screen), tile=options.tile, device=options.device))
            for workers in options.workers:
                for kind in ("local", "ray"):
                    found[f"{kind} x{workers}"].append(self.run(kind, screen, workers=workers))
        refuse_other_exports([run for runs in found.values() for run in runs])
        for workers in options.workers:
            self._compare(found[f"local x{workers}"], found[f"ray x{workers}"], workers=workers)
        if bare:
            self._compare_bare(bare, found)
        self.report.figures["1"] = {"runs": found, "bare": bare}

    def _compare(self, local: list[Found], ray: list[Found], *, workers: int) -> None:
        n_units, row = ray[0]["n_units"], self.report.row
        each = median(local, "window") * min(workers, n_units) / n_units
        target = f"1 Ray over local, {n_units} units of {each:.1f} s, {workers} at once"
        row(target, 100 * (median(ray, "window") / median(local, "window") - 1), "{:+.1f} %", most=3)
        pairs = [100 * (two["window"] / one["window"] - 1) for one, two in zip(local, ray, strict=True)]
        row(f"    smallest of {len(pairs)} pairs", min(pairs), "{:+.1f} %")
        row(f"    largest of {len(pairs)} pairs", max(pairs), "{:+.1f} %")
        row("    with the survey (stops 2-4)", 100 * (median(ray, "units") / median(local, "units") - 1), "{:+.1f} %")
        whole, own = (
            statistics.median(sum(run["cpu"].values()) / run["own_cpu"] for run in runs) for runs in (ray, local)
        )
        row(
            "    CPU of all processes, a CPU second that the units count themselves",
            100 * (whole / own - 1),
            "{:+.1f} %",
        )
        row("        beside what they count: Ray", 100 * (whole - 1), "{:.1f} %")
        row("        beside what they count: local", 100 * (own - 1), "{:.1f} %")

    def _compare_bare(self, bare: list[Found], found: dict[str, list[Found]]) -> None:
        """Set images a second beside those of the bare loop: the forwards of a site, encoder after encoder."""
        n_planes, row = bare[0]["n_planes"], self.report.row
        names = list(bare[0]["planes_a_second"])
        speeds = {name: statistics.median(item["planes_a_second"][name] for item in bare) for name in names}
        for name, speed in speeds.items():
            difference = bare[0]["differences"][name]
            row(f"  bare {name}, vectors differ by {difference:.0e}: planes/s", speed, "{:.0f}")
        site = sum(n_planes / speed for speed in speeds.values())
        batch = f"{n_planes} planes a site, batches of {bare[0]['batch_size']}"
        row(f"  bare loops one after another, {batch}: images/s", len(self.composer.channels) / site, "{:.1f}")
        for name, runs in found.items():
            window = median(runs, "window")
            row(f"2 {name}: images/s", runs[0]["n_images"] / window, "{:.1f}")
            row("    of the bare loops", runs[0]["n_sites"] * site / window, "{:.2f}", least=0.75)
            busy = sum(median([run["cpu"] for run in runs], kind) for kind in runs[0]["cpu"]) / median(runs, "units")
            row("    cores busy", busy, "{:.1f}")
            shares = [run["gpu_share"] for run in runs if run["gpu_share"] is not None]
            if shares:
                row("    share of time the GPU computes", statistics.median(shares), "{:.2f}")

    def against_bare(self) -> None:
        """Part 2: sites a second on Ray against the bare loop of benchmarks/line.py, in turn."""
        from line import ENCODERS, BareLoop, compare_vectors, make_screen, site_tiles

        workers, wells = self.options.workers[0], 24 if self.options.quick else 96
        warm = self.composer.screen("warm-line", plates=1, sites=1, encoders=ENCODERS)
        screen = make_screen(self.folder / "line", plates=2, wells=wells)
        tiles = site_tiles(screen, n_sites=wells)
        bare = BareLoop(tiles)
        difference = compare_vectors(bare, tiles, screen)
        print(f"  vectors of the line and the bare loop differ by at most {difference:.1e} of their size")
        assert difference < 1e-4
        bare.seconds(threads=workers, intra_op=False)
        loops: dict[str, list[float]] = defaultdict(list)
        runs = []
        for _ in range(self.options.rounds):
            loops["one site a thread"].append(bare.seconds(threads=workers, intra_op=False) / len(tiles))
            loops["threads in the operators"].append(bare.seconds(threads=workers, intra_op=True) / len(tiles))
            runs.append(self.run("ray", screen, workers=workers, warm=warm))
        refuse_other_exports(runs)
        name, site = min(((name, statistics.median(found)) for name, found in loops.items()), key=lambda item: item[1])
        self.report.row(f"2 bare loop, {workers} threads, {name}: sites/s", 1 / site, "{:.2f}")
        for stops, field in (("stops 2-4 with commits", "units"), ("stops 1-7", "line")):
            speed = runs[0]["n_sites"] / median(runs, field)
            self.report.row(f"2 Ray x{workers}, {stops}: sites/s", speed, "{:.2f}")
            self.report.row("    of the bare loop", speed * site, "{:.2f}", least=0.75)
        self.report.figures["2"] = {"runs": runs, "bare_site_seconds": loops}

    def scaling(self) -> None:
        """Part 3: from 1 to 2 workers."""
        sites = self.sites_a_unit(self.options.unit_seconds / 4)
        screen = self.composer.screen("scaling", plates=1, sites=sites, encoders=self.encoders)
        found: dict[str, list[Found]] = defaultdict(list)
        for _ in range(self.options.rounds):
            for how, is_held in (("held", True), ("free", False)):
                for workers in (1, 2):
                    found[f"{how} x{workers}"].append(self.run("ray", screen, workers=workers, is_held=is_held))
        refuse_other_exports([run for runs in found.values() for run in runs])
        held, free = (median(found[f"{how} x1"], "window") / median(found[f"{how} x2"], "window") for how in HOW)
        n_units, one = found["free x1"][0]["n_units"], found["free x1"]
        self.report.row(f"3 from 1 to 2 workers, each held to one core, {n_units} units", held, "{:.2f} x", least=1.7)
        self.report.row("    where each may use a second core to read ahead", free, "{:.2f} x")
        busy = statistics.median(sum(run["stops"].values()) / run["window"] for run in one)
        self.report.row("    cores that one such worker keeps busy", busy, "{:.2f}")
        self.report.figures["3"] = found

    def second_encoder(self) -> None:
        """Part 4: what a second encoder costs, against its forwards alone."""
        both = [write_weights(self.folder / "weights", name) for name in (A, B)]
        make, sites = self.composer.screen, 1 if self.options.quick else 5
        warm = [str(make(f"few-{n}", plates=1, sites=1, encoders=both[:n])) for n in (1, 2)]
        screens = [str(make(f"encoders-{n}", plates=1, sites=sites, encoders=both[:n])) for n in (1, 2)]
        found = in_child("costs", warm=warm, screens=screens, rounds=3 * self.options.rounds)
        one, two, forwards = found["A"], found["A+B"], found["B"]
        for index, kind in enumerate(("wall", "CPU")):
            second = statistics.median(more[index] - less[index] for less, more in zip(one, two, strict=True))
            forward = statistics.median(item[index] for item in forwards)
            what = f"4 {kind}: cost({A} + {B}) - cost({A}) = {second:.2f} s"
            self.report.row(what, second / forward, "{:.3f} x", most=1.05)
        stop = statistics.median(found["B in the receipts"])
        self.report.row(
            f"    its stop in the receipts, of {forward:.2f} s CPU of the forwards", stop / forward, "{:.3f} x"
        )
        self.report.figures["4"] = found

    def sizes(self) -> None:
        """Part 5: what travels, and what starting costs, of all runs on Ray."""
        if not self.pools:
            return
        row, images = self.report.row, max(pool["n_images"] // pool["n_units"] for pool in self.pools)
        row("5 largest receipt, bytes", max(pool["largest_receipt"] for pool in self.pools), "{:.0f}", most=10_000)
        largest = max(pool["largest_spec"] for pool in self.pools)
        row(f"5 largest packed description, up to {images} images a unit, bytes", largest, "{:.0f}")
        row(f"  Ray starts, best of {len(self.pools)}, s", min(pool["cluster_up"] for pool in self.pools), "{:.2f}")
        for field, whose in (("first_ready", "the first worker is"), ("all_ready", "all workers are")):
            fastest = min(pool[field] for pool in self.pools)
            row(f"  then {whose} ready, encoders loaded, best, s", fastest, "{:.2f}")


# The command line


def parse_options() -> argparse.Namespace:
    """Return the options of the command line; what was left out goes by the device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--parts", nargs="+", type=int, choices=(1, 2, 3, 4), help="[all; on a GPU there is only 1]")
    parser.add_argument("--rounds", type=int, help="[3; 1 with --quick]")
    parser.add_argument("--quick", action="store_true", help="one round of small units")
    parser.add_argument("--workers", nargs="+", type=int, default=[2], help="at once; part 2 takes the first")
    parser.add_argument("--readers", type=int, help="threads a worker that read ahead [1; its share of cores on a GPU]")
    parser.add_argument("--encoders", nargs="+", metavar="NAME", help="of parts 1 and 3")
    parser.add_argument("--site-pixels", type=int, help="side of a site [256; 1080 on a GPU]")
    parser.add_argument("--tile", type=int, help="side of a tile [128; 224 on a GPU]")
    parser.add_argument("--compression", choices=("none", "zlib", "lzw"), help="of images [none; zlib on a GPU]")
    parser.add_argument("--unit-seconds", type=float, help="of one unit of part 1 [10; 1 with --quick]")
    parser.add_argument("--sites-a-unit", type=int, help="instead of --unit-seconds [10 on a GPU with --quick]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    on_gpu, quick = options.device == "cuda", options.quick
    defaults = {"rounds": 1 if quick else 3, "unit_seconds": 1.0 if quick else 10.0}
    defaults |= {"sites_a_unit": 10 if quick and on_gpu else None, "compression": "zlib" if on_gpu else "none"}
    defaults |= {"parts": [1] if on_gpu else [1, 2, 3, 4], "encoders": list(ON_A_GPU if on_gpu else (A, B))}
    defaults |= {"site_pixels": 1080 if on_gpu else 256, "tile": 224 if on_gpu else 128}
    for name, value in defaults.items():
        setattr(options, name, value if getattr(options, name) is None else getattr(options, name))
    return options


def log_errors_only() -> None:
    """Let the platform log nothing but what went wrong, and that not into the table."""
    import structlog

    level = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=level, logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def main() -> None:
    """Run the benchmark."""
    options = parse_options()
    log_errors_only()
    if options.one:
        task, arguments, told = options.one
        Path(told).write_text(json.dumps(CHILDREN[task](**json.loads(arguments))))
        return
    start, speeds = clock(), [calibration_seconds()]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options)
        parts = {1: bench.overhead, 2: bench.against_bare, 3: bench.scaling, 4: bench.second_encoder}
        for part in options.parts:
            print(f"part {part}:", flush=True)
            parts[part]()
            speeds.append(calibration_seconds())
        bench.sizes()
    report = bench.report
    report.row("  calibration: 10 products of 1024 x 1024 and their hashes, best, s", min(speeds), "{:.3f}")
    report.row("    the slowest of them", max(speeds), "{:.3f}")
    report.show()
    print(f"took {clock() - start:.0f} s on {cores()} cores")
    if options.json:
        told = {"rows": report.rows, "figures": report.figures, "calibration": speeds, "seconds": clock() - start}
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
