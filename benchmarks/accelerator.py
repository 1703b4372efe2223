"""Encoders on a GPU: planes a second of a bare loop against those of `embed` from memory, and whether bytes repeat.

    python benchmarks/accelerator.py [--device cuda] [--planes-a-site 80 256] [--threads 1 2 4] [--json FILE]

Both sides compute the same planes with the same random weights in float32, without TF32, in batches as a run pins them.
The bare loop has its normalised batch of three channels on the GPU, channels last, and does nothing but forwards.
`embed` takes grey planes of ordinary memory, as the line hands them over, and gives vectors back, site by site, by one
thread or by several that share an encoder. Vectors of both are compared before any time, and the bytes of `embed` with
those of a second call, of several threads, and of planes in another order. The two are timed in turn; a figure is the
median over rounds. Nothing else of the line runs here: neither images are read nor parts written.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hcs.embedding.backbones import create_untrained_backbone
from hcs.embedding.engine import Device, best_device, honour_pin, pin_for
from hcs.embedding.loading import load_encoder
from hcs.embedding.registry import describe_encoder
from hcs.embedding.state import state_digest
from hcs.settings import Settings
from schemas.encoders import Encoder, EncoderInfo
from schemas.screen import EncoderChoice
from schemas.work import RunPin

ARCHITECTURES = ("mobilenetv3_small_100", "mobilenetv3_large_100", "pvt_v2_b0", "swin_tiny_patch4_window7_224")
N_SITES = 4
"""Sites with planes of their own, taken in turn: no call finds its planes in a cache."""

TOLERANCE = 1e-4
Planes = NDArray[np.float32]


def untrained(architecture: str) -> EncoderInfo:
    """Describe random weights as this version of torch makes them; it need not be the one of constraints.txt."""
    info = describe_encoder(EncoderChoice(name=f"{architecture}.untrained"), settings=Settings(offline=True))
    found = state_digest(create_untrained_backbone(architecture).state_dict())
    if found != info.weights_sha256:
        print(f"  {info.name}: torch {torch.__version__} makes other random weights than those described")
    return info.model_copy(update={"weights_sha256": found})


def make_sites(*, n_planes: int, side: int) -> list[Planes]:
    """Return planes of smooth noise, (N, Y, X) a site."""
    rng = np.random.default_rng(0)
    coarse = rng.random((N_SITES, n_planes, side // 16 + 1, side // 16 + 1), dtype=np.float32)
    return [site.repeat(16, axis=1).repeat(16, axis=2)[:, :side, :side].copy() for site in coarse]


class BareLoop:
    """The same backbone with nothing around it: one ready batch on the device, and forwards."""

    def __init__(self, info: EncoderInfo, planes: Planes, *, device: Device, batch_size: int) -> None:
        """Put the first batch on the device, normalised, with three equal channels, and padded as `embed` pads it."""
        model = create_untrained_backbone(info.architecture).requires_grad_(False)
        self.model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub lacks it
        grey = (torch.from_numpy(planes[:batch_size]).to(device) - info.mean) / info.std
        padded = torch.zeros((batch_size, *grey.shape[1:]), device=device)
        padded[: len(grey)] = grey
        self.batch = padded[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        self.n_planes = len(grey)

    def vectors(self) -> Planes:
        """Return the vectors of the batch."""
        with torch.inference_mode():
            found: Planes = self.model(self.batch)[: self.n_planes].cpu().numpy()
        return found

    def compute(self, n_batches: int) -> None:
        """Compute the batch over and over, and wait for the last."""
        with torch.inference_mode():
            for _ in range(n_batches):
                self.model(self.batch)
        if self.batch.is_cuda:
            torch.cuda.synchronize()


class Threads:
    """Threads that share an encoder and embed sites in turn."""

    def __init__(self, encoder: Encoder, sites: list[Planes], *, pin: RunPin, n_threads: int) -> None:
        """Start the threads; each honours the pin."""
        self.encoder, self.sites, self.pin, self.n_threads = encoder, sites, pin, n_threads
        self.pool = ThreadPoolExecutor(n_threads, initializer=honour_pin, initargs=(pin,))

    def embed(self, thread: int, n_sites: int) -> Planes:
        """Embed so many sites in turn and return the vectors of the first of all sites."""
        taken = [(thread + number) % N_SITES for number in range(n_sites)]
        found = {site: self.encoder.embed(self.sites[site], batch_size=self.pin.batch_size) for site in taken}
        return found.get(0, np.empty(0, np.float32))

    def compute(self, n_sites: int) -> None:
        """Embed at least so many sites, all threads together."""
        each = -(-n_sites // self.n_threads)
        list(self.pool.map(self.embed, range(self.n_threads), [each] * self.n_threads))

    def repeats(self, expected: Planes) -> bool:
        """Return whether every thread gives the same bytes, all at once, twice."""
        turns = self.pool.map(self.embed, range(2 * self.n_threads), [N_SITES] * 2 * self.n_threads)
        return {found.tobytes() for found in turns} == {expected.tobytes()}


@contextmanager
def started(encoder: Encoder, sites: list[Planes], *, pin: RunPin, threads: list[int]) -> Iterator[dict[int, Threads]]:
    """Start pools of so many threads each, and stop them in the end."""
    pools = {n_threads: Threads(encoder, sites, pin=pin, n_threads=n_threads) for n_threads in threads}
    try:
        yield pools
    finally:
        for pool in pools.values():
            pool.pool.shutdown()


def planes_a_second(compute: Callable[[int], None], *, n_planes: int, seconds: float, at_once: int = 1) -> float:
    """Return the speed of `compute(n)`, which computes n times so many planes, over about so many seconds."""
    start = time.perf_counter()
    compute(at_once)
    once = (time.perf_counter() - start) / at_once
    n_times = -(-max(3 * at_once, int(seconds / once)) // at_once) * at_once
    start = time.perf_counter()
    compute(n_times)
    return n_times * n_planes / (time.perf_counter() - start)


def compare(encoder: Encoder, bare: BareLoop, sites: list[Planes], *, pin: RunPin) -> tuple[Planes, dict[str, Any]]:
    """Return the vectors of the first site, and how they compare with the bare loop's and with those of other calls."""
    vectors = encoder.embed(sites[0], batch_size=pin.batch_size)
    expected = bare.vectors()
    difference = float(np.linalg.norm(vectors[: len(expected)] - expected) / np.linalg.norm(expected))
    assert difference < TOLERANCE, f"{encoder.info.name}: vectors differ from the bare loop's by {difference:.1e}"
    again = encoder.embed(sites[0], batch_size=pin.batch_size)
    backwards = encoder.embed(sites[0][::-1], batch_size=pin.batch_size)[::-1]
    few = encoder.embed(sites[0][:3], batch_size=pin.batch_size)
    return vectors, {
        "difference": difference,
        "same_bytes": again.tobytes() == vectors.tobytes(),
        "same_bytes_in_another_order": np.ascontiguousarray(backwards).tobytes() == vectors.tobytes(),
        "same_bytes_when_padded": few.tobytes() == vectors[:3].tobytes(),
    }


def measure(info: EncoderInfo, *, n_planes: int, options: argparse.Namespace) -> dict[str, Any]:
    """Compare and time one encoder at one size of site."""
    pin = pin_for(n_planes, device=options.device)
    honour_pin(pin)
    sites = make_sites(n_planes=n_planes, side=info.input_size or options.side)
    encoder = load_encoder(info, device=options.device)
    bare = BareLoop(info, sites[0], device=options.device, batch_size=pin.batch_size)
    vectors, comparison = compare(encoder, bare, sites, pin=pin)
    speeds: dict[str, list[float]] = {}
    with started(encoder, sites, pin=pin, threads=options.threads) as pools:
        comparison["same_bytes_of_threads"] = all(pool.repeats(vectors) for pool in pools.values())
        bare.compute(3)
        for _ in range(options.rounds):
            found = planes_a_second(bare.compute, n_planes=bare.n_planes, seconds=options.seconds)
            speeds.setdefault("bare", []).append(found)
            for n_threads, pool in pools.items():
                found = planes_a_second(pool.compute, n_planes=n_planes, seconds=options.seconds, at_once=n_threads)
                speeds.setdefault(f"embed_{n_threads}", []).append(found)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    return {"encoder": info.name, "planes_a_site": n_planes, "batch_size": pin.batch_size, **comparison} | {
        "planes_a_second": medians,
        "rounds": speeds,
    }


def print_row(row: dict[str, Any]) -> None:
    """Print one encoder at one size of site."""
    speeds = dict(row["planes_a_second"])
    bare = speeds.pop("bare")
    embed = "  ".join(f"{speed:9.0f} ({speed / bare:4.2f})" for speed in speeds.values())
    checks = "".join("y" if row[check] else "N" for check in row if check.startswith("same_bytes"))
    name = row["encoder"].removesuffix(".untrained")
    print(f"{name:30s} {row['batch_size']:5d} {bare:9.0f}  {embed}   {row['difference']:.0e}  {checks}", flush=True)


def print_head(pin: RunPin, options: argparse.Namespace) -> None:
    """Print what computes, and the heads of the columns."""
    print(f"{pin.accelerator or pin.instruction_set}, torch {pin.torch}, planes of {options.side} x {options.side}:")
    print("planes a second, ratio to the bare loop in brackets; the bytes of embed are the same (y or N) in a second")
    print("call, in another order of planes, beside padding, and by all threads at once")
    embed = "  ".join(f"{f'embed x{n_threads}':>16s}" for n_threads in options.threads)
    print(f"{'encoder':30s} {'batch':>5s} {'bare':>9s}  {embed}   diff.  bytes")


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default=best_device())
    parser.add_argument("--encoders", nargs="+", default=list(ARCHITECTURES), metavar="NAME")
    parser.add_argument("--planes-a-site", nargs="+", type=int, default=[80, 256], metavar="N")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2, 4], metavar="N")
    parser.add_argument("--side", type=int, default=224, help="pixels, for encoders that take any")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3, help="of one measurement")
    parser.add_argument("--quick", action="store_true", help="few small planes: shows that it runs, measures nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    options = parser.parse_args()
    if options.quick:
        options.planes_a_site, options.threads, options.side = [2], [1, 2], 64
        options.rounds, options.seconds = 1, 0.05
    return options


def main() -> None:
    """Run the benchmark."""
    options = parse_options()
    start = time.perf_counter()
    pin = pin_for(options.planes_a_site[0], device=options.device)
    print_head(pin, options)
    rows = []
    for architecture in options.encoders:
        info = untrained(architecture)
        for n_planes in options.planes_a_site:
            rows.append(measure(info, n_planes=n_planes, options=options))
            print_row(rows[-1])
    seconds = time.perf_counter() - start
    print(f"took {seconds:.0f} s")
    if options.json:
        told = {"pin": pin.model_dump(), "side": options.side, "seconds": seconds, "rows": rows}
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
