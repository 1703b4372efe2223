"""The memory of `hcs demo`: the peak of all its processes together, and what each kind of process has of it.

    python benchmarks/demo_memory.py [--seconds 0.5] [--json FILE] [-- --executor local --threads 2 ...]

What stands behind `--` is handed on to `hcs demo`. Every process of the demo carries a mark in its environment, however
deep it was started. Memory is its proportional set size (PSS, as Linux tells it of every process): a page that several
processes share is counted once in all. The sum is of one look at all processes, the peak the largest of all looks.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from pools.processes import MARK, kind_of, marked

TARGET_MB = 4000.0


def pss_mb(pid: int) -> float:
    """Return the proportional set size of a process in MB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def look(mark: str) -> tuple[Counter[Any], Counter[str]]:
    """Return the memory in MB and the number of the marked processes, by their kind."""
    memory: Counter[Any] = Counter()  # of floats
    count: Counter[str] = Counter()
    for pid, command in marked(mark).items():
        if found := pss_mb(pid):
            memory[kind_of(command)] += found
            count[kind_of(command)] += 1
    return memory, count


def watch(command: list[str], *, seconds: float) -> dict[str, Any]:
    """Return the peaks of a command while it runs; what it prints is thrown away, but for an error."""
    mark = uuid.uuid4().hex
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, env=os.environ | {MARK: mark}, stdout=subprocess.DEVNULL, stderr=errors)
        peak, looks = 0.0, 0
        at_peak, by_kind, most = Counter[Any](), Counter[Any](), Counter[str]()
        while process.poll() is None:
            memory, count = look(mark)
            looks += 1
            if memory.total() > peak:
                peak, at_peak = float(memory.total()), memory
            by_kind, most = by_kind | memory, most | count  # the larger of the two, kind by kind
            time.sleep(seconds)
        took = time.monotonic() - started
        errors.seek(0)
        assert process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}: {errors.read()[-2000:]}"
    return {
        "peak_mb": peak,
        "peak_by_kind_mb": dict(by_kind),
        "at_the_peak_mb": dict(at_peak),
        "most_processes": dict(most),
        "looks": looks,
        "seconds": took,
        "left": left(mark),
    }


def left(mark: str, *, seconds: float = 10.0) -> list[str]:
    """Return the commands of marked processes that do not end by themselves."""
    give_up = time.monotonic() + seconds
    while (found := marked(mark)) and time.monotonic() < give_up:
        time.sleep(0.2)
    return list(found.values())


def print_found(found: dict[str, Any]) -> None:
    """Print the peaks beside the target."""
    print(f"hcs demo took {found['seconds']:.0f} s; {found['looks']} looks at its processes; PSS in MB:")
    print(f"  {'kind of process':44s} {'most':>5s} {'own peak':>9s} {'at the peak of all':>19s}")
    for kind, peak in sorted(found["peak_by_kind_mb"].items(), key=lambda item: -item[1]):
        at_peak = found["at_the_peak_mb"].get(kind, 0.0)
        print(f"  {kind:44s} {found['most_processes'][kind]:5d} {peak:9.0f} {at_peak:19.0f}")
    is_met = "yes" if found["peak_mb"] <= TARGET_MB else "NO"
    print(f"  peak of all together: {found['peak_mb']:.0f} MB, target <= {TARGET_MB:.0f} MB: {is_met}")
    if found["left"]:
        print(f"  {len(found['left'])} of its processes are still there: {'; '.join(found['left'])[:300]}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="between two looks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("demo", nargs="*", metavar="-- OPTION", help="options of hcs demo")
    options = parser.parse_args()
    folder = tempfile.mkdtemp()
    try:
        demo = [str(Path(sys.executable).with_name("hcs")), "demo", "--out", str(Path(folder, "demo")), *options.demo]
        found = watch(demo, seconds=options.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print_found(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
