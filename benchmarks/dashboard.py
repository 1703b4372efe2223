"""How fast the pages of the dashboard are seen in a browser, and whether the processes that serve them grow.

    python benchmarks/dashboard.py [--plates 200] [--runs 3] [--visits 20] [--sessions 200] [--parts speed,memory]
        [--quick]

A catalog of 200 plates x 384 wells x 4 sites and 3 runs is filled in a PostgreSQL of its own, and a fourth run of
plates of 1,536 wells; wells of one plate have images, 5 x 1080 x 1080 pixels of 16 bits in LZW. `python -m dashboards`
is started as `hcs dashboard` starts it, and looked at by a headless Chromium.

A page is seen when what it answers stands on the screen, not greyed out: on Hits the sentence and both charts, on
Plates the map with all wells, on Compound the verdict with its reasons, on Mechanisms and Runs their table. Seconds are
from the address or the click until then, and each visit is of another run, plate or compound:

- empty browser: one that has never been here, and fetches and compiles the files of Streamlit too;
- load: a new tab of a browser that has been here, and has the files;
- move: a link of another page is clicked.

Then a well of the map is clicked until its picture is decoded, each well for the first time: its first site, which is
shown while the others are read (`click to picture`), and all of them (`click to every site`). Another plate of 1,536
wells is chosen until it is painted; and sessions come, look at a whole page and go for good, while memory is read.
`speed` is how many times longer a fixed piece of work (zlib and numpy) took just then than on a quiet machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from answers.delivering import spread_images, write_images, write_parts
from answers.figures import QUIET_SECONDS, calibration_seconds
from answers.filling import Size, add_run, fill
from browser import Dashboard, browsing, dashboard
from postgres import databases
from visits.memory import mebibytes, served_by, slope_of_second_half
from visits.sights import SIGHTS
from visits.timing import EMPTY, LOAD, MOVE, Served, Visitor

BAR_VIEW, BAR_PICTURE, BAR_MAP = 1.5, 0.7, 1.0
BAR_GROWTH = 2.0
"""MiB in 100 visits, which is taken for flat."""
IMAGED = 40
"""Wells with images: each is clicked once."""
READ_EVERY = 25
HEADER = f"{'':28s} {'n':>4s} {'p50 s':>7s} {'p95 s':>7s} {'bar':>5s} {'met':>4s} {'speed':>6s}"


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plates", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--visits", type=int, default=20, help="of each page and kind")
    parser.add_argument("--sessions", type=int, default=200, help="that come and go while memory is read")
    parser.add_argument("--parts", default="speed,memory", help="what is measured: speed, memory, or both")
    parser.add_argument("--quick", action="store_true", help="16 plates, one run, few visits: does it work at all")
    options = parser.parse_args()
    options.parts = options.parts.split(",")
    if not {"speed", "memory"}.issuperset(options.parts):
        parser.error(f"--parts is expected as speed, memory or speed,memory, but {','.join(options.parts)} came")
    if options.quick:
        options.plates, options.runs, options.visits, options.sessions = 16, 1, 3, 20
    return options


def filled(url: str, folder: Path, size: Size, wide: Size) -> tuple[str, str, list[str]]:
    """Fill a catalog, and return a key to it, the run of the wide plates, and the wells with images."""
    from hcs.catalog import open_catalog
    from hcs.pipeline.treatment_maps import keep_map

    write_images(folder / "images", size)
    wells = spread_images(folder / "images", size, wells=IMAGED)
    parts = write_parts(folder / "parts", folder / "images", size)
    begin = time.perf_counter()
    with open_catalog(url, parts_uri=str(folder / "parts")) as catalog:
        key = fill(catalog, size, root=str(folder / "images"), parts=parts)
        run = add_run(catalog, wide)
        for number in range(1, size.runs + 1):  # as after the first look at it
            keep_map(catalog, number, profile="combined", everything=False)
        with catalog.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")  # as its autovacuum does in time
    print(f"{size.plates} plates are filled in {time.perf_counter() - begin:.0f} s", flush=True)
    return key, run, wells


def timed(what: str, measure: Callable[[], list[float]], *, bar: float) -> bool:
    """Print a line of the table, and return whether its bar is met."""
    speed = calibration_seconds() / QUIET_SECONDS
    took = measure()
    p50, p95 = np.percentile(took, [50, 95])
    met = bool(p95 <= bar)
    said = "yes" if met else "NO"
    print(f"{what:28s} {len(took):4d} {p50:7.2f} {p95:7.2f} {bar:5.1f} {said:>4s} {speed:6.2f}", flush=True)
    return met


def measure_speed(visitor: Visitor, wells: list[str], *, visits: int) -> None:
    """Print the table of seconds."""
    kinds = {LOAD: visitor.loads, MOVE: visitor.moves, EMPTY: visitor.first_visits}
    print(HEADER)
    missed = []
    for kind, visit in kinds.items():
        for name in SIGHTS:
            what = f"{name}, {kind}"
            if not timed(what, lambda visit=visit, name=name: visit(name, visits), bar=BAR_VIEW):  # type: ignore[misc]
                missed.append(what)
    for what, measure, bar in (
        ("click to picture", lambda: visitor.clicks(wells[::2], visits), BAR_PICTURE),
        ("click to every site", lambda: visitor.clicks(wells[1::2], visits, whole=True), BAR_VIEW),
        ("map of 1,536 wells", lambda: visitor.wide_maps(visits), BAR_MAP),
    ):
        if not timed(what, measure, bar=bar):
            missed.append(what)
    print(f"bars that are not met: {'; '.join(missed) or 'none'}", flush=True)


def measure_memory(visitor: Visitor, started: Dashboard, *, sessions: int) -> None:
    """Print what the processes hold while sessions come and go."""
    pids = served_by(started.process.pid)
    names, places = list(SIGHTS), [0]
    held = {name: [mebibytes(pid)] for name, pid in pids.items()}
    print(f"{'sessions':>8s} " + " ".join(f"{name + ' MiB':>10s}" for name in pids))
    for number in range(sessions + 1):
        if number and number % READ_EVERY == 0:
            places.append(number)
            for name, pid in pids.items():
                held[name].append(mebibytes(pid))
            print(f"{number:8d} " + " ".join(f"{held[name][-1]:10.0f}" for name in pids), flush=True)
        visitor.one_session(names[number % len(names)])
    for name, values in held.items():
        if len(values) > 3:
            slope = slope_of_second_half(places, values)
            said = "flat" if slope <= BAR_GROWTH else "NOT flat"
            print(f"{name}: {slope:+.1f} MiB in 100 sessions, over the second half ({said}, bar {BAR_GROWTH:g})")


def main() -> None:
    """Run the benchmark."""
    options = parse_options()
    size, wide = Size(plates=options.plates, runs=options.runs), Size(plates=3, wells=1536, runs=1, prefix="W")
    with tempfile.TemporaryDirectory() as name, databases() as server:
        server.set(fsync="on")  # it keeps what it committed, as one in use does
        folder, url = Path(name), server.make()
        key, run, wells = filled(url, folder, size, wide)
        environment = {"HCS_API_KEY": key, "HCS_PARTS": str(folder / "parts")}
        with dashboard(url, "--root", folder, **environment) as started, browsing() as browser:
            visitor = Visitor(browser, Served(started.url, size, run, wide), folder=folder / "browser")
            if "speed" in options.parts:
                measure_speed(visitor, wells, visits=options.visits)
            if "memory" in options.parts:
                measure_memory(visitor, started, sessions=options.sessions)
            visitor.leave()


if __name__ == "__main__":
    main()
