"""Reading a delivery from an S3 server against a bare loop of GETs, and against the local disk; requests are counted.

    python benchmarks/object_storage.py [--wells 24] [--threads 2] [--rounds 3]

A plate of one site a well, 5 x 1080 x 1080, uncompressed TIFF, is read as a run reads it: fetched ahead, hashed,
checked and decoded, into (C, Y, X). The server is moto in a process of its own, which shares the processors with the
reader and is far slower than a store: what counts is the share of the bare loops, which get the same objects from the
same server, 16 at a time, and do nothing with them: once with signed URLs by Python's http.client, once by botocore.
All are timed in turn, and the ratios are of the medians.
"""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import local
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

CHANNELS = ("AGP", "DNA", "ER", "Mito", "RNA")
SIDE = 1080
AT_ONCE = 16


def make_delivery(folder: Path, *, wells: int) -> None:
    """Write the images of a plate and its platemap."""
    import numpy as np

    from hcs.io.tiff import tiff_bytes
    from hcs.io.wells import well_at

    rng = np.random.default_rng(0)
    folder.mkdir()
    rows = ["well,perturbation"]
    for number in range(wells):
        well = well_at(str(number // 24 + 1), str(number % 24 + 1))
        rows.append(f"{well},{'DMSO' if number % 2 else f'C{number}'}")
        for channel in CHANNELS:
            plane = rng.integers(100, 4000, (SIDE, SIDE), dtype=np.uint16)
            (folder / f"{well}-{channel}.tif").write_bytes(tiff_bytes(plane, pixel_size_um=0.6))
    (folder / "map.csv").write_text("\n".join(rows))


def prepare(uri: str) -> Any:
    """Return the unit that reads all sites of the plate."""
    from hcs.pipeline.plan import PartsPlace, survey_unit
    from hcs.pipeline.submission import prepare_run
    from hcs.settings import Settings
    from schemas.screen import EncoderChoice, PlateEntry, ScreenConfig

    config = ScreenConfig(
        screen="benchmark",
        plates=(PlateEntry(uri=uri, pattern="{well}-{channel}.tif"),),
        platemaps=f"{uri}/map.csv",
        encoders=(EncoderChoice(name="named"),),
    )
    prepared = prepare_run(config, settings=Settings(offline=True))
    plate, pixels = prepared.plates[0], prepared.config.pixels
    return survey_unit(plate, pixels=pixels, pin=prepared.pin, parts=PartsPlace(uri="unused", folder="unused"))


def read_all(spec: Any, *, threads: int) -> int:
    """Read every site as a unit does, and return how many there were."""
    from hcs.io.pixels import read_site
    from hcs.pipeline.ahead import in_order
    from hcs.pipeline.fetching import fetch_sites
    from hcs.pipeline.plan import by_site
    from hcs.pipeline.stopwatch import Stopwatch

    def read(site: Any) -> tuple[int, ...]:
        _, planes, fetched = site
        return read_site(
            spec.root, planes, channels=spec.channels, projection=spec.pixels.projection, fetched=fetched
        ).pixels.shape

    with (
        closing(fetch_sites(spec, by_site(spec.planes).items(), watch=Stopwatch())) as fetched,
        closing(in_order(read, fetched, threads=threads)) as sites,
    ):
        shapes = list(sites)
    assert set(shapes) == {(len(CHANNELS), SIDE, SIDE)}
    return len(shapes)


class BareLoop:
    """GETs of the same objects, and nothing else."""

    def __init__(self, store: Any, bucket: str, keys: list[str]) -> None:
        """Sign a URL for every object."""
        client = self._client = store.client()
        self._bucket, self._keys = bucket, keys
        sign = partial(client.generate_presigned_url, "get_object", ExpiresIn=3600)
        self._urls = [sign(Params={"Bucket": bucket, "Key": key}).removeprefix(store.endpoint) for key in keys]
        self._server = urlsplit(store.endpoint)
        self._kept = local()

    def _get(self, url: str) -> int:
        if not hasattr(self._kept, "connection"):
            self._kept.connection = http.client.HTTPConnection(str(self._server.hostname), self._server.port)
        self._kept.connection.request("GET", url)
        answer = self._kept.connection.getresponse()
        assert answer.status == 200
        return len(answer.read())

    def _ask(self, key: str) -> int:
        return len(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read())

    def by_url(self) -> int:
        """Return how many bytes came, by the shortest way there is."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return sum(pool.map(self._get, self._urls))

    def by_client(self) -> int:
        """Return how many bytes came, by the client that signs every request."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return sum(pool.map(self._ask, self._keys))


def timed(work: Any) -> float:
    """Return the wall seconds of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def count_requests(store: Any, uri: str, *, threads: int) -> None:
    """Print what is asked for, through a proxy that counts."""
    from s3 import proxy_of

    from hcs.io.stores import S3

    with proxy_of(store) as proxy:
        S3.close()
        os.environ.update(proxy.environment)
        spec = prepare(uri)
        print(f"requests of listing, platemap and acceptance check: {dict(proxy.kinds())}")
        proxy.clear()
        read_all(spec, threads=threads)
        most = max(proxy.counted().values())
        print(
            f"requests of reading {len(spec.planes)} images: {dict(proxy.kinds())}, none of them more than {most} times"
        )
        S3.close()


def measure(folder: Path, *, wells: int, threads: int, rounds: int) -> None:
    """Print sites a second from disk and from the server, and their ratio to the bare loop."""
    from s3 import s3_server

    make_delivery(folder / "P", wells=wells)
    with s3_server() as store:
        os.environ.update(store.environment)
        uri = store.make_bucket("delivered") + "/P"
        store.upload(folder / "P", uri)
        here, there = prepare(str(folder / "P")), prepare(uri)
        n_sites = len(there.planes) // len(CHANNELS)
        keys = [f"P/{plane.relative_path}" for plane in there.planes]
        bare = BareLoop(store, "delivered", keys)
        ways = {
            "bare GETs of signed URLs": bare.by_url,
            "bare GETs by botocore": bare.by_client,
            "read from the server": partial(read_all, there, threads=threads),
            "read from the local disk": partial(read_all, here, threads=threads),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds + 1):  # the first is warm-up
            for name, way in ways.items():
                seconds[name].append(timed(way))
        medians = {name: statistics.median(taken[1:]) for name, taken in seconds.items()}
        print(f"{n_sites} sites of 5 x {SIDE} x {SIDE}, {threads} threads decode, median of {rounds}:")
        for name, taken in medians.items():
            rounds_told = " ".join(f"{one:.2f}" for one in seconds[name][1:])
            print(f"  {name:25s} {n_sites / taken:7.2f} sites/s  ({rounds_told} s)")
        for name in list(ways)[:2] + list(ways)[3:]:
            print(f"  read from the server / {name}: {medians[name] / medians['read from the server']:.2f}")
        count_requests(store, uri, threads=threads)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wells", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), wells=arguments.wells, threads=arguments.threads, rounds=arguments.rounds)


if __name__ == "__main__":
    main()
