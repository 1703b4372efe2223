"""A screen that lies in an object store, whose parts are written there: the same bytes, and nothing fetched twice."""

from __future__ import annotations

import hashlib
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml
from commands import digests_of, hcs
from plates import deliver, plate_images
from processes import Marked, make_mark
from runs import perform
from s3 import SECRET, Proxy, Request, Store

from hcs.catalog import Catalog, get_run, open_catalog, site_rows
from hcs.errors import InputChangedError, StoreUnavailableError
from hcs.io.stores import S3
from hcs.pipeline.export import export_run
from hcs.pipeline.local import LocalExecutor
from hcs.pipeline.run import Performed
from schemas.work import RunState, UnitOutcome, UnitSpec

WELLS = 8


def images_of(requests: list[Request], kind: str) -> Counter[tuple[str, bool]]:
    """Return how often each image was asked for, and whether for a range of it."""
    return Counter((item.key, item.range is not None) for item in requests if item.kind == kind and "tif" in item.key)


@pytest.fixture(scope="session")
def screen_uri(object_store: Store, screen_folder: Path) -> str:
    """The delivered screen with its platemaps and annotations, in a bucket, under a name as people give them."""
    uri = object_store.make_bucket("delivered") + "/My screen #1+ü"
    object_store.upload(screen_folder, uri)
    return uri


@pytest.mark.slow
def test_a_run_in_a_store_gives_the_bytes_of_a_local_one_and_fetches_nothing_twice(
    proxy: Proxy, screen_uri: str, exported: dict[str, str], tmp_path: Path
) -> None:
    parts = proxy.make_bucket("parts-of-one-process")
    proxy.clear()
    with open_catalog(str(tmp_path / "catalog.sqlite"), parts_uri=parts) as catalog:
        done = perform(catalog, f"{screen_uri}/SCREEN.yaml", LocalExecutor(threads=2))

        assert done.run.state is RunState.COMPLETE
        whole = images_of(proxy.requests, "GET")
        assert len({key for key, _ in whole}) == 2 * 24 * 5
        # once for its header, once by the survey, which takes all 24 sites of these plates, and once to be embedded
        assert {count for (_, is_range), count in whole.items() if is_range} == {1}
        assert {count for (_, is_range), count in whole.items() if not is_range} == {2}
        assert not images_of(proxy.requests, "HEAD")
        listed = [item.key for item in proxy.requests if item.kind == "LIST" and item.key.endswith(("001/", "002/"))]
        assert len(listed) == 2
        written = proxy.counted("PUT", "MULTIPART")
        assert {kind for kind, _ in written} == {"PUT"}
        assert set(written.values()) == {1}
        assert all(count == 1 for (_, key), count in proxy.counted("GET").items() if key.endswith((".csv", ".tsv")))

        proxy.clear()
        export_run(catalog, get_run(catalog), str(tmp_path / "out"), ending="parquet")
        assert digests_of(tmp_path / "out") == exported
        assert set(proxy.counted().values()) == {1}

        proxy.clear()
        again = perform(catalog, f"{screen_uri}/SCREEN.yaml", LocalExecutor(threads=2))
        assert again.was_finished
        assert {is_range for _, is_range in images_of(proxy.requests, "GET")} == {True}
        assert set(proxy.counted("GET", "PUT").values()) == {1}


@pytest.fixture
def marked() -> Marked:
    return make_mark()


@pytest.mark.long
def test_every_command_reads_and_writes_a_store_and_workers_get_what_the_environment_says(
    proxy: Proxy, screen_uri: str, exported: dict[str, str], tmp_path: Path, marked: Marked
) -> None:
    bucket = proxy.make_bucket("parts-of-a-pool")
    told = {**proxy.environment, "HCS_CATALOG": str(tmp_path / "catalog.sqlite"), "HCS_PARTS": f"{bucket}/parts"}
    try:
        ran = hcs("run", f"{screen_uri}/SCREEN.yaml", "--executor", "ray", "--threads", 2, **told, **marked.environment)
        assert ran.code == 0, ran.err
        assert marked.left() == ({}, [])
    finally:
        marked.end()

    assert hcs("export", "parquet", "latest", f"{bucket}/out", **told).code == 0
    found = proxy.contents(f"{bucket}/out/")
    for key, content in found.items():
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert digests_of(tmp_path / "out") == exported
    assert hcs("hits", "--q-max", 1, "--format", "csv", **told).out.count("\n") > 10
    assert hcs("images", "SIM00011001", "B02", "-o", f"{bucket}/B02.png", **told).code == 0
    assert proxy.contents(f"{bucket}/B02")["B02.png"].startswith(b"\x89PNG")
    assert "nothing was tried again" in hcs("retry", "latest", **told).out
    proxy.clear()
    drafted = hcs("init", screen_uri, **told)
    assert drafted.code == 0, drafted.err
    assert set(proxy.counted().values()) == {1}
    assert {entry["uri"].rpartition("/")[2] for entry in yaml.safe_load(drafted.out)["plates"]} == {
        "SIM00011001",
        "SIM00011002",
    }
    everything = ran.out + ran.err + drafted.err
    assert SECRET not in everything


@pytest.fixture
def plate(proxy: Proxy, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A small plate in a bucket of the test's own; returns the URI of its SCREEN.yaml."""
    deliver(tmp_path / "P", plate_images(WELLS))
    rows = [f"A{well:02d},{'DMSO' if well % 2 else f'C{well}'}" for well in range(1, WELLS + 1)]
    screen = {
        "screen": "s",
        "plates": [{"uri": "P"}],
        "platemaps": "./map.csv",
        "pattern": "{well}-{channel}.tif",
        "encoders": ["named"],
        "pixels": {"tile": 64},
    }
    bucket = proxy.make_bucket(f"p{hashlib.sha256(request.node.name.encode()).hexdigest()[:20]}")
    proxy.upload(tmp_path / "P", f"{bucket}/P")
    proxy.put(f"{bucket}/map.csv", "\n".join(["well,perturbation", *rows]).encode())
    proxy.put(f"{bucket}/SCREEN.yaml", yaml.safe_dump(screen).encode())
    proxy.clear()
    return f"{bucket}/SCREEN.yaml"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    with open_catalog(str(tmp_path / "catalog.sqlite")) as made:
        yield made


def run_here(
    catalog: Catalog, screen: str, came: Callable[[UnitSpec, UnitOutcome], None] = lambda spec, outcome: None
) -> Performed:
    return perform(catalog, screen, LocalExecutor(threads=1), came=came)


def when_surveyed(what: Callable[[], None]) -> Callable[[UnitSpec, UnitOutcome], None]:
    """Do something in the middle of a run: its units that embed are not planned before."""

    def came(spec: UnitSpec, outcome: UnitOutcome) -> None:
        if spec.kind == "survey":
            what()

    return came


def test_an_image_that_is_gone_or_torn_or_late_is_its_sites_fault_alone(
    proxy: Proxy, plate: str, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(S3, "waits", (0.1, 0.1, 0.1))

    def disturb() -> None:
        proxy.answer("GET", "A02-DNA", status=404, code="NoSuchKey")
        proxy.answer("GET", "A03-AGP", cut=100)
        proxy.answer("GET", "A04-AGP", status=503, code="SlowDown", times=2)
        proxy.answer("GET", "A05-AGP", cut=100, times=1)

    done = run_here(catalog, plate, when_surveyed(disturb))

    sites = site_rows(catalog, done.run.id).filter(pl.col("status") == "failed").sort("well")
    reasons = dict(sites.select("well", "reason").iter_rows())
    assert done.run.state is RunState.COMPLETE_WITH_HOLES
    assert set(reasons) == {"A02", "A03"}
    assert "cannot read A02-DNA.tif: No such file or directory" in reasons["A02"]
    assert "ended its answer too early" in reasons["A03"]


def test_an_image_that_is_exchanged_in_the_middle_of_a_run_ends_it_and_is_never_mixed(
    proxy: Proxy, plate: str, catalog: Catalog, tmp_path: Path
) -> None:
    uri = plate.replace("SCREEN.yaml", "P/A07-DNA.tif")
    image = (tmp_path / "P" / "A07-DNA.tif").read_bytes()
    other = image[:-2] + b"\1\1"

    with pytest.raises(InputChangedError, match=r"A07-DNA\.tif as it was when the plate was listed"):
        run_here(catalog, plate, when_surveyed(lambda: proxy.put(uri, other)))
    assert run_here(catalog, plate).run.state is RunState.COMPLETE

    proxy.put(uri, image)
    with pytest.raises(InputChangedError, match=r"changed since, first .*A07-DNA\.tif"):
        run_here(catalog, plate)


def test_an_image_that_is_copied_anew_is_hashed_once_and_is_the_same(
    proxy: Proxy, plate: str, catalog: Catalog, tmp_path: Path
) -> None:
    assert run_here(catalog, plate).run.state is RunState.COMPLETE
    bucket = plate.removeprefix("s3://").partition("/")[0]
    copy_by_parts(proxy, bucket, "P/A07-DNA.tif", (tmp_path / "P" / "A07-DNA.tif").read_bytes())
    proxy.clear()

    assert run_here(catalog, plate).was_finished

    whole = {key: count for (key, is_range), count in images_of(proxy.requests, "GET").items() if not is_range}
    assert whole == {"P/A07-DNA.tif": 1}


def copy_by_parts(proxy: Proxy, bucket: str, key: str, content: bytes) -> None:
    """Store an object as large uploads do, after which its ETag is another one."""
    client = proxy.client()
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    where = {"Bucket": bucket, "Key": key, "UploadId": upload}
    tag = client.upload_part(**where, PartNumber=1, Body=content)["ETag"]
    client.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"ETag": tag, "PartNumber": 1}]})


def test_a_store_that_refuses_in_the_middle_of_a_run_ends_it_and_no_site_is_to_blame(
    proxy: Proxy, plate: str, catalog: Catalog
) -> None:
    refuse = when_surveyed(lambda: proxy.answer("GET", "A0[4-8]", status=403, code="ExpiredToken"))

    with pytest.raises(StoreUnavailableError, match="ExpiredToken"):
        run_here(catalog, plate, refuse)
    proxy.answers.clear()
    done = run_here(catalog, plate)

    assert done.run.state is RunState.COMPLETE
    assert site_rows(catalog, done.run.id).height == WELLS


def one_paragraph(*arguments: object, seconds: float, **environment: str) -> str:
    """Return what a command that must fail says."""
    started = time.monotonic()
    ended = hcs(*arguments, **environment)
    assert time.monotonic() - started < seconds
    assert ended.code in (1, 4)
    assert ended.err.count("\n") == 1, ended.err
    assert "Traceback" not in ended.err
    assert SECRET not in ended.err
    return ended.err


def test_a_key_that_is_wrong_is_one_paragraph_at_once(proxy: Proxy, plate: str, tmp_path: Path) -> None:
    proxy.answer("GET", "tif$", status=403, code="InvalidAccessKeyId")

    said = one_paragraph("run", plate, "--catalog", tmp_path / "c.sqlite", seconds=20, **proxy.environment)

    assert "does not take the key that was given (InvalidAccessKeyId)" in said
    assert proxy.kinds()["GET"] < 2 * WELLS * 3


def test_a_store_that_is_not_there_is_one_paragraph_in_30_seconds(object_store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    environment = {**object_store.environment, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}"}

    said = one_paragraph("check", "s3://bucket/plate", seconds=30, **environment)

    assert "does not answer" in said
    assert f"127.0.0.1:{port}" in said
