"""What `hcs profiles` takes around an operation: start, reading and writing beside the library's own seconds.

    python benchmarks/profiles_command_line.py [--plates 20] [--features 1500] [--only normalize ...] [--csv]

Made-up profiles of `profiles.py` lie in a Parquet file (or, with `--csv`, a `csv.gz`) on the disk of the temporary
folder. Every command has a process of its own and runs in it twice. CPU seconds of the second run, in which everything
is imported, are told apart by the functions that read and write; what the first run took beyond the second, from the
start of the interpreter on, is the start. Memory is the peak of the whole process, in multiples of the matrix.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import Any

from profile_operations import CONTROLS, Screen
from profiles import make_screen, peak_bytes

FITTED = ["--controls", f"{CONTROLS} == 'true'"]
COMMANDS: dict[str, list[str]] = {
    "aggregate": [],
    "normalize": FITTED,
    "select": ["--operation", "variance_threshold,correlation_threshold,frequency_threshold"],
    "spherize": FITTED,
    "consensus": ["--by", "Metadata_layout", "--by", "Metadata_Well", "--operation", "modz"],
}
"""Commands of `hcs profiles`, and their options."""


def write_screen(screen: Screen, path: Path) -> None:
    """Write profiles as a command reads them."""
    from hcs.cli.profiles.files import write_profiles

    write_profiles(screen.metadata, screen.values, screen.features, str(path))


def timed(function: Callable[..., Any], taken: list[float]) -> Callable[..., Any]:
    """Return the function, which then notes its CPU seconds."""

    def perform(*given: Any, **named: Any) -> Any:
        started = process_time()
        made = function(*given, **named)
        taken.append(process_time() - started)
        return made

    return perform


def measure(name: str, source: str, target: str) -> None:
    """Run a command twice in this process, and print what it took as JSON."""
    from hcs.cli.main import app

    module: Any = import_module(f"hcs.cli.profiles.{name}")
    read: list[float] = []
    written: list[float] = []
    module.read_profiles = timed(module.read_profiles, read)
    module.write_profiles = timed(module.write_profiles, written)
    ends = []
    for _ in range(2):
        with contextlib.redirect_stdout(io.StringIO()):
            app(["profiles", name, source, target, *COMMANDS[name]], standalone_mode=False)
        ends.append(process_time())
    whole = ends[1] - ends[0]
    figures = {"whole": ends[0], "start": ends[0] - whole, "read": read[1], "write": written[1], "peak": peak_bytes()}
    print(json.dumps(figures | {"operation": whole - read[1] - written[1]}))


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plates", type=int, default=20)
    parser.add_argument("--features", type=int, default=1500)
    parser.add_argument("--only", nargs="+", choices=tuple(COMMANDS), metavar="COMMAND", help=", ".join(COMMANDS))
    parser.add_argument("--csv", action="store_true", help="csv.gz instead of Parquet")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(*options.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        ending = "csv.gz" if options.csv else "parquet"
        source, target = (Path(folder) / f"{name}.{ending}" for name in ("in", "out"))
        screen = make_screen(options.plates, options.features)
        write_screen(screen, source)
        print(f"{options.plates} plates, {source.stat().st_size / 1e6:,.0f} MB of {ending}; CPU seconds")
        print("| command | in all | start | read | operation | write | memory |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for name in options.only or COMMANDS:
            arguments = [sys.executable, __file__, "--one", name, str(source), str(target)]
            took = json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
            parts = " | ".join(f"{took[part]:.2f}" for part in ("whole", "start", "read", "operation", "write"))
            print(f"| {name} | {parts} | {took['peak'] / screen.values.nbytes:.1f} x |", flush=True)


if __name__ == "__main__":
    main()
