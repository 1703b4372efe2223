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
than wall seconds. Weights are random and lie in files, so that any version of torch will do (but for part 2 on the CPU,
whose bare loop is that of line.py).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path
from time import perf_counter as clock

from pools.child import CHILDREN
from pools.figures import calibration_seconds
from pools.parts import Bench
from pools.processes import cores
from pools.screens import A, B

ON_A_GPU = ("pvt_v2_b0", "mobilenetv3_large_100", "swin_tiny_patch4_window7_224")


def parse_options() -> argparse.Namespace:
    """Return the options of the command line; what was left out goes by the device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--parts", nargs="+", type=int, choices=(1, 2, 3, 4), help="[all; on a GPU there is only 1]")
    parser.add_argument("--rounds", type=int, help="[3; 1 with --quick]")
    parser.add_argument("--quick", action="store_true", help="one round of small units")
    parser.add_argument("--workers", nargs="+", type=int, help="at once [2; 4 on a GPU]; part 2 takes the first")
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
    defaults |= {"workers": [4] if on_gpu else [2]}
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
