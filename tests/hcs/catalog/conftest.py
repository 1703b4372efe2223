"""Catalogs on SQLite and on PostgreSQL, and small runs to put into them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from places import Place
from postgres import Databases, databases

from hcs.catalog import (
    Catalog,
    LeasedUnit,
    PlateOfRun,
    Registration,
    RunRecord,
    Submission,
    open_catalog,
    register_run,
    set_run_state,
    submit_run,
)
from hcs.catalog.migrations import HEAD
from schemas.acceptance import AcceptanceReport, PlaneCounts, Verdict
from schemas.encoders import EncoderInfo, WeightsOrigin
from schemas.results import ProfileReceipt, PublishedCalls
from schemas.screen import PixelsConfig, PlateEntry, ScreenConfig
from schemas.tables import PlateWells
from schemas.work import PartReceipt, PlaneRef, Receipt, RunPin, RunState, UnitSpec

PIN = RunPin(instruction_set="AVX2", batch_size=32, torch="2.13.0")
CHANNELS = ("DNA", "ER")


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def encoder(name: str = "named", **changes: Any) -> EncoderInfo:
    values = {
        "name": name,
        "architecture": name,
        "weights_sha256": sha(name),
        "weights_origin": WeightsOrigin.NONE,
        "embedding_size": 4,
        "mean": 0.5,
        "std": 0.25,
        "licence": "BSD-3-Clause",
    }
    return EncoderInfo(**{**values, **changes})


def plate(barcode: str = "P1", *, n_sites: int = 4, **entry: Any) -> PlateOfRun:
    counts = PlaneCounts(wells=n_sites, sites=n_sites, channels=2, images=2 * n_sites)
    report = AcceptanceReport(
        plate=barcode,
        uri=f"/delivered/{barcode}",
        layout="files",
        verdict=Verdict.ACCEPT,
        channels=CHANNELS,
        expected=counts,
        delivered=counts,
        n_negcon_wells=1,
        n_poscon_wells=0,
        n_treatment_wells=n_sites - 1,
        findings=(),
    )
    values = {"uri": f"/delivered/{barcode}", "barcode": barcode, "batch": "b1", **entry}
    return PlateOfRun(
        entry=PlateEntry.model_construct(**values), layout="files", manifest_sha256=sha(barcode), report=report
    )


def wells(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """PlateWells from rows that say only what matters."""
    blank = dict.fromkeys(PlateWells.columns())
    full = [{**blank, "control_type": "treatment", "metadata": "{}", "plate": "P1", **row} for row in rows]
    return pl.DataFrame(full, schema_overrides={name: c.dtype for name, c in PlateWells.columns().items()})


def plain_wells(plates: Sequence[str] = ("P1",)) -> pl.DataFrame:
    """A control and three treatments a plate."""
    rows = [
        {"plate": barcode, "well": well, "perturbation": name, "concentration_micromolar": dose, "control_type": kind}
        for barcode in plates
        for well, name, dose, kind in [
            ("A01", "DMSO", None, "negcon"),
            ("A02", "CPD1", 1.0, "treatment"),
            ("A03", "CPD1", 10.0, "treatment"),
            ("A04", "CPD2", 1.0, "treatment"),
        ]
    ]
    return wells(rows)


def unit(number: int, *, barcode: str = "P1", kind: str = "embed", n_sites: int = 1, **changes: Any) -> UnitSpec:
    """An embed unit of `n_sites` sites of well number `number`."""
    well = f"{chr(65 + number // 24 % 16)}{number % 24 + 1:02d}"
    planes = [
        PlaneRef(well=well, site=site, channel=channel, relative_path=f"{well}/{site}/{channel}.tif", size_bytes=10)
        for site in range(1, n_sites + 1)
        for channel in CHANNELS
    ]
    values = {
        "key": sha(f"{barcode} {kind} {number}"),
        "kind": kind,
        "plate": barcode,
        "root": f"/delivered/{barcode}",
        "planes": tuple(planes),
        "channels": CHANNELS,
        "pixels": PixelsConfig(tile=64),
        "encoders": (encoder(),),
        "pin": PIN,
        "parts_uri": "/parts",
        "parts_folder": "run-1/P1",
    }
    return UnitSpec(**{**values, **changes})


def result(spec: UnitSpec, *, failed: Sequence[int] = ()) -> dict[str, Any]:
    """What a worker returns of a unit: the arguments of `complete` after the run; sites in `failed` were unreadable."""
    places = sorted({(plane.well, plane.site) for plane in spec.planes})
    read = [place for place in places if place[1] not in failed]
    if spec.kind == "survey":
        parts = [PartReceipt(kind="survey", relative_path=f"{spec.key}.npz", sha256=sha(spec.key), n_bytes=9, n_rows=1)]
        receipt = Receipt(key=spec.key, parts=tuple(parts), n_sites=len(places), n_failed_sites=0, seconds={"read": 1})
        return {"receipt": receipt, "sites": None, "channels": None}
    parts = [
        PartReceipt(
            kind="embedding",
            encoder=info.name,
            relative_path=f"{spec.key}-{info.name}.parquet",
            sha256=sha(spec.key + info.name),
            n_bytes=100,
            n_rows=len(read),
        )
        for info in spec.encoders
    ]
    sites = [
        {
            "plate": spec.plate,
            "well": well,
            "site": site,
            "status": "failed" if site in failed else "ok",
            "reason": "the file ends early" if site in failed else None,
            "cell_count": None if site in failed else 100 + site,
            "n_tiles": 0 if site in failed else 4,
            "height": None if site in failed else 128,
            "width": None if site in failed else 128,
        }
        for well, site in places
    ]
    channels = [
        {
            "plate": spec.plate,
            "well": well,
            "site": site,
            "channel": channel,
            "power_loglog_slope": -2.0,
            "saturation_fraction": 0.0,
            "mean": 100.0,
            "sd": 10.0,
            "percentile_1": 80.0,
            "percentile_99": 130.0,
        }
        for well, site in read
        for channel in spec.channels
    ]
    receipt = Receipt(
        key=spec.key,
        parts=tuple(parts),
        n_sites=len(places),
        n_failed_sites=len(places) - len(read),
        seconds={"read": 0.5, "embed": 2.0},
    )
    return {
        "receipt": receipt,
        "sites": pl.DataFrame(sites, schema_overrides={"reason": pl.String, "cell_count": pl.Int32}),
        "channels": pl.DataFrame(channels) if channels else None,
    }


def calls(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """PublishedCalls from rows that say only what matters."""
    if not rows:
        return PublishedCalls.create_empty()
    plain = {
        "concentration_micromolar": 1.0,
        "dose_step": None,
        "control_type": "treatment",
        "profile": "combined",
        "n_replicates": 3,
        "n_plates": 3,
        "n_batches": 2,
        "n_controls": 48,
        "mean_average_precision": 0.9,
        "p_value": 0.001,
        "smallest_possible_p": 0.0001,
        "p_position": 0.002,
        "smallest_possible_p_position": 0.0003,
        "position_verdict": "corrected",
        "q_value": 0.01,
        "is_hit": True,
        "call": "active",
        "reason": None,
        "effect": 3.0,
        "cell_count_ratio": 0.9,
        "explained_by_count": "not_explained",
        "n_other_positions": 2,
        "other_positions_precision": 0.8,
        "channel_verdict": "several_channels",
        "channel": "DNA",
        "batch_verdict": "every_batch",
        "n_batches_testable": 2,
        "n_batches_holding": 2,
        "quality_verdict": "as_controls",
        "n_judged": 3,
        "n_flagged": 0,
        "flagged_share_of_controls": 0.05,
        "name": None,
        "smiles": None,
        "mechanism": None,
        "mechanism_source": "none",
        "predicted_mechanism": None,
        "mechanism_evidence": None,
    }
    nullable = {name: c.dtype for name, c in PublishedCalls.columns().items() if c.nullable}
    types = {name: pl.String if isinstance(dtype, pl.Enum) else dtype for name, dtype in nullable.items()}
    return pl.DataFrame([{**plain, **row} for row in rows], schema_overrides=types)


def neighbours(rows: Sequence[tuple[str, int, str, float]], *, profile: str = "combined") -> pl.DataFrame:
    names = ["treatment", "rank", "neighbour", "similarity"]
    types = {"treatment": pl.String, "rank": pl.Int32, "neighbour": pl.String, "similarity": pl.Float64}
    frame = pl.DataFrame(list(rows), schema=types, orient="row").select(names)
    return frame.with_columns(pl.lit(profile).alias("profile"))


def profile(name: str = "combined") -> ProfileReceipt:
    return ProfileReceipt(
        name=name, relative_path=f"profiles/{name}.parquet", sha256=sha(name), n_bytes=10, n_rows=4, n_features=8
    )


def run(catalog: Catalog, *, barcodes: Sequence[str] = ("P1",), running: bool = True, **changes: Any) -> RunRecord:
    """A new run of a small screen."""
    values = {
        "config": ScreenConfig(screen="pilot", plates=[{"uri": f"/delivered/{b}", "barcode": b} for b in barcodes]),
        "plates": [plate(barcode) for barcode in barcodes],
        "wells": plain_wells(barcodes),
        "encoders": [encoder()],
        "pin": PIN,
        "code_version": "0.1.0",
        "new": True,
        **changes,
    }
    record = register_run(catalog, values.pop("config"), **values).run
    return set_run_state(catalog, record.id, RunState.RUNNING) if running else record


def screen(name: str = "pilot", **settings: Any) -> ScreenConfig:
    """A screen of one plate, as it is submitted."""
    return ScreenConfig(screen=name, plates=[{"uri": "/delivered/P1", "barcode": "P1"}], **settings)


def submit(catalog: Catalog, config: ScreenConfig | None = None, **options: Any) -> Submission:
    """A submission, as `submit_run` answers it."""
    return submit_run(catalog, config or screen(), code_version="0.1.0", **options)


def register(catalog: Catalog, run_id: int | None, **changes: Any) -> Registration:
    """What a dispatcher registers of a submitted run when it has looked at the plate."""
    values = {
        "config": screen(),
        "plates": [plate("P1")],
        "wells": plain_wells(["P1"]),
        "encoders": [encoder()],
        "pin": PIN,
        "code_version": "0.2.0",
        "submitted": run_id,
        **changes,
    }
    return register_run(catalog, values.pop("config"), **values)


def done(catalog: Catalog, run_id: int, leased: LeasedUnit) -> dict[str, Any]:
    """The arguments of `complete` for a leased unit."""
    return {"catalog": catalog, "run_id": run_id, "fence": leased.fence, **result(leased.spec)}


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Builders of everything that a catalog holds."""
    return SimpleNamespace(
        sha=sha,
        pin=PIN,
        encoder=encoder,
        plate=plate,
        wells=wells,
        plain_wells=plain_wells,
        unit=unit,
        result=result,
        calls=calls,
        neighbours=neighbours,
        profile=profile,
        run=run,
        screen=screen,
        submit=submit,
        register=register,
        done=done,
    )


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a catalog that nobody uses: copying it is faster than making another."""
    path = tmp_path_factory.mktemp("empty") / "catalog.sqlite"
    open_catalog(str(path)).close()
    return path


@pytest.fixture(scope="session")
def server() -> Iterator[Databases]:
    """A PostgreSQL server."""
    with databases() as made:
        yield made


@pytest.fixture(scope="session")
def empty_database(server: Databases) -> Iterator[str]:
    """A database with a catalog that nobody uses."""
    url = server.make()
    open_catalog(url, parts_uri="/parts").close()
    yield url
    server.drop(url)


@pytest.fixture
def new_database(server: Databases) -> Iterator[str]:
    """A database without any table."""
    url = server.make()
    yield url
    server.drop(url)


@pytest.fixture
def sqlite_place(tmp_path: Path, empty_catalog: Path) -> Place:
    """An empty catalog in a file."""
    path = shutil.copy(empty_catalog, tmp_path / "catalog.sqlite")
    return Place(str(path), str(tmp_path / "parts"))


@pytest.fixture(scope="session")
def spare_databases() -> list[str]:
    """Databases with empty catalogs that tests have left behind."""
    return []


@pytest.fixture
def postgresql_place(
    tmp_path: Path, empty_database: str, server: Databases, spare_databases: list[str]
) -> Iterator[Place]:
    """An empty catalog in a database that no other test uses meanwhile."""
    url = spare_databases.pop() if spare_databases else server.copy(empty_database)
    yield Place(url, str(tmp_path / "parts"))
    if server.is_emptied(url, version=HEAD):
        spare_databases.append(url)
    else:
        server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    """An empty catalog: a test that takes it holds for both database systems."""
    return request.getfixturevalue(f"{request.param}_place")


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    """An empty catalog on either database system, open."""
    with place.open() as opened:
        yield opened


@pytest.fixture
def sqlite_catalog(sqlite_place: Place) -> Iterator[Catalog]:
    """An empty catalog on SQLite, open."""
    with sqlite_place.open() as opened:
        yield opened


@pytest.fixture
def postgresql_catalog(postgresql_place: Place) -> Iterator[Catalog]:
    """An empty catalog on PostgreSQL, open."""
    with postgresql_place.open() as opened:
        yield opened
