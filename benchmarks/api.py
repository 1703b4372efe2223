"""How fast the API answers on a large catalog, on both database systems, and how fast a plate's results are stored.

    python benchmarks/api.py [--seconds 20] [--rounds 1] [--plates 200] [--runs 6] [--databases sqlite postgresql]

A catalog of 200 plates x 384 wells x 4 sites and 6 runs is filled as finished runs fill it, in a file and in a
PostgreSQL of its own; one plate has images, 5 x 1080 x 1080 pixels of 16 bits in LZW. The server is `hcs serve`'s own
process. Answers of both databases are compared before any time is looked at.

Each route is asked 20 times a second, then all of them together: questions are due at fixed moments, whatever became
of those before, and seconds are counted from there. Cold pictures are asked for one after another, since a core
composes only a few a second; in the mixture they are 2 in 100. CPU are milliseconds of the server's process a request,
which other programs disturb less than wall time does; `speed` is how many times longer a fixed piece of work (zlib and
numpy) took just then than on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from answers.asking import Answer, Asker, cpu_seconds
from answers.delivering import write_images, write_parts
from answers.figures import HEADER, QUIET_SECONDS, calibration_seconds, row
from answers.filling import Size, fill
from answers.questions import BARS, Questions
from answers.storing import seconds_to_store
from postgres import Databases, databases
from serving import Server, serving

RATE = 20.0
COLD = 24
"""Cold pictures that are asked for one after another."""


@dataclass(frozen=True)
class Filled:
    """A catalog that is full: where it is, and a key to it."""

    name: str
    url: str
    key: str


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each route")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--plates", type=int, default=200)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    return parser.parse_args()


class Places:
    """Makes empty places for catalogs; PostgreSQL keeps what it committed, as one in use does."""

    def __init__(self, folder: Path, server: Databases | None) -> None:
        """Remember where."""
        self._folder, self._server = folder, server
        if server is not None:
            server.set(fsync="on")

    def make(self, database: str, name: str) -> str:
        """Return the URL of a new place."""
        if database == "sqlite":
            return str(self._folder / f"{name}.sqlite")
        assert self._server is not None
        return self._server.make()


def filled(name: str, url: str, folder: Path, size: Size, *, parts: Any) -> Filled:
    """Fill a catalog, and return where it is."""
    from hcs.catalog import open_catalog

    begin = time.perf_counter()
    with open_catalog(url, parts_uri=str(folder / "parts")) as catalog:
        key = fill(catalog, size, root=str(folder / "images"), parts=parts)
        if name == "postgresql":
            _analyze(catalog)  # as its autovacuum does in time
    print(f"{name} is filled in {time.perf_counter() - begin:.0f} s", flush=True)
    return Filled(name, url, key)


def _analyze(catalog: Any) -> None:
    with catalog.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def refuse_other_answers(answered: dict[str, dict[str, bytes]]) -> None:
    """Refuse to go on if two databases answered one question differently, or answered nothing."""
    first, *others = answered.values()
    for path, content in first.items():
        told = json.loads(content) if content[:1] == b"{" else {"items": content}
        assert told.get("items", told.get("wells")), f"{path} is answered by nothing"
        assert all(other[path] == content for other in others), f"{path} is answered in two ways"
    print(f"{len(first)} questions are answered by the same bytes on {' and '.join(answered)}", flush=True)


def sample_answers(server: Server, key: str, size: Size) -> dict[str, bytes]:
    """Return the answers to some questions of each route."""
    questions, asker = Questions(size), Asker(server.host_and_port, key)
    asked = [question.path for route in BARS for question in questions.of(route, 4)]
    return {path: asker.one(path) for path in asked}


def measure(name: str, server: Server, key: str, size: Size, *, seconds: float) -> list[str]:
    """Return the lines of the table for one database."""
    questions, asker = Questions(size), Asker(server.host_and_port, key)
    for path in questions.kept_images():
        asker.one(path)
    pid, n = server.process.pid, int(RATE * seconds)
    lines = []
    for route in BARS:
        speed, before = calibration_seconds() / QUIET_SECONDS, cpu_seconds(pid)
        if route == "image, cold":
            answers = [answer for q in questions.of(route, COLD) for answer in asker.at_rate([q], rate=RATE)]
        else:
            answers = asker.at_rate(questions.of(route, n), rate=RATE)
        cpu = (cpu_seconds(pid) - before) / len(answers)
        lines.append(_line(name, answers, cpu=cpu, speed=speed))
    speed = calibration_seconds() / QUIET_SECONDS
    mixed = asker.at_rate(questions.mixed(2 * n), rate=RATE)
    lines += [_line(f"{name}, mixed", [a for a in mixed if a.route == route], cpu=None, speed=speed) for route in BARS]
    return lines


def _line(what: str, answers: list[Answer], *, cpu: float | None, speed: float) -> str:
    wrong = [answer for answer in answers if answer.status != 200]
    assert not wrong, f"{what}: {len(wrong)} answers were none, first {wrong[0].status}: {wrong[0].content[:300]!r}"
    line = row(what, answers, cpu=cpu, speed=speed)
    print(line, flush=True)
    return line


def main() -> None:
    """Run the benchmark."""
    options = parse_options()
    size = Size(plates=options.plates, runs=options.runs)
    server_of = databases if "postgresql" in options.databases else nullcontext
    with tempfile.TemporaryDirectory() as name, server_of() as started:
        folder, made = Path(name), Places(Path(name), started)
        for database in options.databases:
            url = made.make(database, "stored")
            print(seconds_to_store(database, url, size, parts_uri=str(folder / "parts")), flush=True)
        write_images(folder / "images", size)
        parts = write_parts(folder / "parts", folder / "images", size)
        stores = [filled(name, made.make(name, "full"), folder, size, parts=parts) for name in options.databases]
        answered = {}
        for store in stores:
            with serving(store.url, "--parts", folder / "parts") as server:
                answered[store.name] = sample_answers(server, store.key, size)
        refuse_other_answers(answered)
        print(HEADER)
        for _ in range(options.rounds):
            for store in stores:
                with serving(store.url, "--parts", folder / "parts") as server:
                    measure(store.name, server, store.key, size, seconds=options.seconds)


if __name__ == "__main__":
    main()
