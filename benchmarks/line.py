"""The whole line against a bare loop of the same encoders, where its time goes, and its memory over plates.

    python benchmarks/line.py [--threads 2] [--wells 96] [--rounds 3]

Both sides embed the same sites: 5 x 256 x 256 pixels, tiles of 128, in float32, by mobilenetv3_small_100 and pvt_v2_b0
(untrained: weights do not change the time). The bare loop has tiles in memory and does nothing but forwards; the line
reads TIFFs, surveys the plate, corrects, measures, counts nuclei, embeds, writes parts and commits. Vectors of both are
compared before any time. The two are timed in turn, in one run, and the ratio is of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ENCODERS = ("mobilenetv3_small_100.untrained", "pvt_v2_b0.untrained")


def make_screen(folder: Path, *, plates: int, wells: int) -> Path:
    """Simulate a screen and return its SCREEN.yaml."""
    import yaml

    from hcs.simulation.deliver import simulate_screen
    from hcs.simulation.design import small_design

    screen = simulate_screen(str(folder), design=small_design(plates=plates, wells=wells), seed=5)
    path = Path(screen.screen_file)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"encoders": list(ENCODERS)}))
    return path


def make_executor(threads: int) -> Any:
    """Return an executor; its encoders are loaded by the first run that it performs."""
    from hcs.pipeline.local import LocalExecutor

    return LocalExecutor(threads=threads)


def run_line(screen: Path, store: Path, *, executor: Any) -> dict[str, Any]:
    """Perform stops 1 to 7 of a run and return wall seconds of its phases and CPU seconds of its stops."""
    from hcs.catalog import open_catalog, set_run_state
    from hcs.io.screen import load_screen
    from hcs.pipeline.coordinator import Coordinator
    from hcs.pipeline.finish import finish_run
    from hcs.pipeline.registering import register
    from hcs.pipeline.submission import prepare_run
    from hcs.settings import Settings
    from schemas.work import RunState, UnitOutcome, UnitSpec

    stops: dict[str, float] = defaultdict(float)

    def count(_: UnitSpec, outcome: UnitOutcome) -> None:
        assert outcome.receipt is not None, outcome.reason
        for stop, seconds in outcome.receipt.seconds.items():
            stops[stop] += seconds

    phases = {}
    start = time.perf_counter()
    with open_catalog(str(store / "catalog.sqlite")) as catalog:
        prepared = prepare_run(load_screen(str(screen)), settings=Settings(offline=True))
        run = set_run_state(catalog, register(catalog, prepared).run.id, RunState.RUNNING)
        phases["1 deliver"] = time.perf_counter() - start
        start = time.perf_counter()
        Coordinator(catalog=catalog, run=run, prepared=prepared, executor=executor, on_progress=count).perform()
        phases["2-4 units and their commits"] = time.perf_counter() - start
        peak_of_units = peak_mb()
        start = time.perf_counter()
        finish_run(catalog, run)
        phases["5-7 profiles, calls, publish"] = time.perf_counter() - start
    return {"phases": phases, "stops": dict(stops), "peaks": {"stops 1-4": peak_of_units, "stops 1-7": peak_mb()}}


def peak_mb() -> float:
    """Return the largest memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def site_tiles(screen: Path, *, n_sites: int) -> list[Any]:
    """Return the scaled tiles of the first sites of a screen, as its own survey scales them: (T, C, t, t) each."""
    from hcs.imaging.correct import correct_site, scale_site
    from hcs.imaging.tiles import cut_tiles
    from hcs.io.pixels import read_site
    from hcs.io.screen import load_screen
    from hcs.pipeline.plan import PartsPlace, by_site, survey_unit
    from hcs.pipeline.stopwatch import Stopwatch
    from hcs.pipeline.submission import prepare_run
    from hcs.pipeline.surveys import survey_of
    from hcs.settings import Settings

    prepared = prepare_run(load_screen(str(screen)), settings=Settings(offline=True))
    plate, pixels = prepared.plates[0], prepared.config.pixels
    spec = survey_unit(plate, pixels=pixels, pin=prepared.pin, parts=PartsPlace(uri="unused", folder="unused"))
    survey, _ = survey_of(spec, watch=Stopwatch())
    tiles = []
    for planes in list(by_site(plate.planes).values())[:n_sites]:
        read = read_site(plate.root, planes, channels=plate.channels, projection=pixels.projection)
        tiles.append(cut_tiles(scale_site(correct_site(read.pixels, survey), survey), pixels.tile))
    return tiles


class BareLoop:
    """The same encoders, with nothing around them: tensors in memory, one forward a site and encoder."""

    def __init__(self, tiles: list[Any]) -> None:
        """Put every site into one ready tensor a site."""
        import numpy as np
        import torch

        from hcs.embedding.loading import load_encoder
        from hcs.embedding.registry import describe_encoder
        from hcs.embedding.torchvision_operators import import_timm
        from hcs.settings import Settings
        from schemas.screen import EncoderChoice

        timm = import_timm()
        self.models = {}
        for name in ENCODERS:
            info = describe_encoder(EncoderChoice(name=name), settings=Settings(offline=True))
            load_encoder(info)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                model = timm.create_model(info.architecture, num_classes=0)
            self.models[name] = (model.eval().to(memory_format=torch.channels_last), info)
        self.sites = {
            name: [
                (
                    (torch.from_numpy(np.ascontiguousarray(t.swapaxes(0, 1)).reshape(-1, 1, *t.shape[2:])) - info.mean)
                    / info.std
                )
                .expand(-1, 3, -1, -1)
                .contiguous(memory_format=torch.channels_last)
                for t in tiles
            ]
            for name, (_, info) in self.models.items()
        }

    def vectors(self, name: str, site: int) -> Any:
        """Return one site's vectors, one a plane."""
        import torch

        with torch.inference_mode():
            return self.models[name][0](self.sites[name][site]).numpy()

    def seconds(self, *, threads: int, intra_op: bool) -> float:
        """Return wall seconds of all sites by all encoders: threads inside the operators, or one site a thread."""
        import torch

        n_sites = len(self.sites[ENCODERS[0]])

        def work(site: int) -> None:
            if not intra_op:
                torch.set_num_threads(1)
            for name in ENCODERS:
                self.vectors(name, site)

        torch.set_num_threads(threads if intra_op else 1)
        start = time.perf_counter()
        if intra_op:
            for site in range(n_sites):
                work(site)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(work, range(n_sites)))
        return time.perf_counter() - start


def compare_vectors(bare: BareLoop, tiles: list[Any], screen: Path) -> float:
    """Return the largest difference between the line's vectors and the bare loop's, relative to their size."""
    import numpy as np

    from hcs.embedding.loading import load_encoder
    from hcs.pipeline.sites import embed_tiles

    worst = 0.0
    for name in ENCODERS:
        encoder = load_encoder(bare.models[name][1])
        for site in range(0, len(tiles), 16):
            channels, n_tiles = tiles[site].shape[1], tiles[site].shape[0]
            ours = embed_tiles(tiles[site], encoder, batch_size=channels * n_tiles)
            theirs = bare.vectors(name, site).reshape(channels, n_tiles, -1).mean(axis=1).ravel()
            worst = max(worst, float(np.abs(ours - theirs).max() / np.abs(theirs).max()))
    return worst


def measure_ratio(folder: Path, *, threads: int, wells: int, rounds: int) -> None:
    """Print the ratio of the line to the bare loop, and where the time goes."""
    screen = make_screen(folder / "screen", plates=2, wells=wells)
    tiles = site_tiles(screen, n_sites=wells)
    bare = BareLoop(tiles)
    difference = compare_vectors(bare, tiles, screen)
    print(f"vectors of the line and the bare loop differ by at most {difference:.1e} of their size")
    assert difference < 1e-4
    bare.seconds(threads=threads, intra_op=False)  # both sides are warm: encoders loaded, kernels chosen
    executor = make_executor(threads)
    (folder / "warm").mkdir()
    run_line(screen, folder / "warm", executor=executor)
    lines, by_site_times, by_operator_times = [], [], []
    for turn in range(rounds):
        store = folder / f"store-{turn}"
        store.mkdir()
        lines.append(run_line(screen, store, executor=executor))
        by_site_times.append(bare.seconds(threads=threads, intra_op=False))
        by_operator_times.append(bare.seconds(threads=threads, intra_op=True))
    line = statistics.median(sum(found["phases"].values()) for found in lines)
    units = statistics.median(found["phases"]["2-4 units and their commits"] for found in lines)
    loops = {
        "one site a thread": statistics.median(by_site_times),
        f"{threads} threads inside the operators": statistics.median(by_operator_times),
    }
    n_sites = 2 * wells
    print(f"{n_sites} sites of 2 plates, {threads} threads, median of {rounds}:")
    print(f"  line, stops 2-4 with commits                   {n_sites / units:7.2f} sites/s")
    print(f"  line, stops 1-7                                {n_sites / line:7.2f} sites/s")
    for name, seconds in loops.items():
        print(f"  bare loop, {name:32s} {len(tiles) / seconds:7.2f} sites/s")
    fastest = min(loops.values()) * n_sites / len(tiles)
    print(f"  ratio to the faster bare loop: {fastest / units:.2f} (stops 2-4), {fastest / line:.2f} (stops 1-7)")
    print_stops(lines[-1])


def print_stops(found: dict[str, Any]) -> None:
    """Print where the time of one run went."""
    total = sum(found["stops"].values())
    print("CPU seconds by stop, summed over threads (last round):")
    for stop, seconds in sorted(found["stops"].items(), key=lambda item: -item[1]):
        print(f"  {stop:40s} {seconds:7.2f}  {seconds / total:5.1%}")
    print("wall seconds by phase:")
    for phase, seconds in found["phases"].items():
        print(f"  {phase:40s} {seconds:7.2f}")


def measure_memory(folder: Path, *, threads: int, plates: tuple[int, ...]) -> None:
    """Print the peak memory of runs that differ in their number of plates alone, each in a process of its own."""
    print("peak memory of a run, by plates of 96 wells:")
    for n_plates in plates:
        screen = make_screen(folder / f"memory-{n_plates}", plates=n_plates, wells=96)
        store = folder / f"memory-store-{n_plates}"
        store.mkdir()
        arguments = [sys.executable, __file__, "--one", str(screen), str(store), "--threads", str(threads)]
        told = json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
        peaks = ", ".join(f"{stops} {megabytes:5.0f} MB" for stops, megabytes in told.items())
        print(f"  {n_plates:3d} plates: {peaks}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--wells", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="measure memory over plates too (minutes)")
    parser.add_argument("--one", nargs=2, metavar=("SCREEN", "STORE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        told = run_line(Path(arguments.one[0]), Path(arguments.one[1]), executor=make_executor(arguments.threads))
        print(json.dumps(told["peaks"]))
        return
    with tempfile.TemporaryDirectory() as folder:
        measure_ratio(Path(folder), threads=arguments.threads, wells=arguments.wells, rounds=arguments.rounds)
        if arguments.memory:
            measure_memory(Path(folder), threads=arguments.threads, plates=(1, 4, 10))


if __name__ == "__main__":
    main()
