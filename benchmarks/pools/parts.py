"""The parts of the benchmark: what is compared with what, in turn."""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from pathlib import Path

from pools.child import in_child
from pools.figures import Found, Report, median, refuse_other_exports
from pools.processes import cores
from pools.screens import A, B, Composer, write_weights

HOW = ("held", "free")


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
