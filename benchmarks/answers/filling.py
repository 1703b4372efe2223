"""Fills a catalog as finished runs do: through the functions that a run goes through itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.catalog import (
    Catalog,
    PlateOfRun,
    RunRecord,
    adopt_finished,
    complete,
    create_key,
    lease,
    owner_of_this_process,
    plan,
    publish,
    register_run,
    set_run_state,
)
from hcs.io.storage import join, sha256_of_bytes, write_atomically
from hcs.io.tables import embedding_table_bytes
from hcs.pipeline.flags import flagged_in_run
from schemas.acceptance import AcceptanceReport, PlaneCounts, Verdict
from schemas.encoders import EncoderInfo, WeightsOrigin
from schemas.keys import Scope
from schemas.results import ProfileReceipt, PublishedCalls, TreatmentNeighbours
from schemas.screen import PixelsConfig, PlateEntry, ScreenConfig
from schemas.tables import (
    BATCH_VERDICTS,
    CHANNEL_VERDICTS,
    CONTROL_TYPES,
    COUNT_VERDICTS,
    QUALITY_VERDICTS,
    ChannelQuality,
    PlateWells,
    SiteResults,
)
from schemas.treatments import with_treatment_keys
from schemas.work import PartReceipt, PlaneRef, Receipt, RunPin, RunState, UnitSpec

CHANNELS = ("AGP", "DNA", "ER", "Mito", "RNA")
PROFILES = ("combined", "one", "two")
DOSES = (0.3, 1.0, 3.0, 10.0)
MECHANISMS = tuple(f"{target} inhibitor" for target in ("tubulin", "kinase", "proteasome", "HDAC", "HSP90"))
MECHANISMS += tuple(f"target-{number} agonist" for number in range(55))
N_NEGCON, N_POSCON = 48, 16
REPLICATES = 8
FEATURES = 16
"""Of a profile; real ones have hundreds, which takes room and says nothing here."""

NEIGHBOURS = 20
"""What a run keeps of each treatment."""

PIN = RunPin(instruction_set="AVX2", batch_size=32, torch="2.13.0")
PIXELS = PixelsConfig(tile=224)
IMAGED = "P0001"
"""The plate whose images are there."""


_COLUMNS = {96: 12, 384: 24, 1536: 48}
"""Columns of a plate that has at most so many wells."""


@dataclass(frozen=True)
class Size:
    """How large a catalog is."""

    plates: int = 200
    wells: int = 384
    runs: int = 6
    sites: int = 4
    pixels: int = 1080
    prefix: str = "P"

    @property
    def barcodes(self) -> list[str]:
        """The plates, by name."""
        return [f"{self.prefix}{number:04d}" for number in range(1, self.plates + 1)]

    @property
    def names(self) -> list[str]:
        """The wells of a plate, row by row."""
        columns = next(wide for most, wide in _COLUMNS.items() if self.wells <= most)
        return [f"{_row(number // columns)}{number % columns + 1:02d}" for number in range(self.wells)]


def _row(number: int) -> str:
    return chr(65 + number) if number < 26 else f"A{chr(65 + number - 26)}"


def sha(text: str) -> str:
    """Return a SHA-256 that a text stands for."""
    return hashlib.sha256(text.encode()).hexdigest()


def encoders() -> list[EncoderInfo]:
    """Return two encoders; nobody computes with them."""
    common: dict[str, Any] = {"weights_origin": WeightsOrigin.NONE, "mean": 0.5, "std": 0.25, "licence": "BSD-3-Clause"}
    return [
        EncoderInfo(name=name, architecture=name, weights_sha256=sha(name), embedding_size=384, **common)
        for name in PROFILES[1:]
    ]


def layout(size: Size) -> pl.DataFrame:
    """Return `PlateWells`: eight plates of each layout, every compound of a layout in four doses."""
    n_treated = size.wells - N_NEGCON - N_POSCON
    rows = [
        _well(plate, barcode, well, index, n_treated)
        for plate, barcode in enumerate(size.barcodes)
        for index, well in _places(size)
    ]
    types = {name: column.dtype for name, column in PlateWells.columns().items()}
    return pl.DataFrame(rows, schema=types, orient="row")


def _places(size: Size) -> list[tuple[int, str]]:
    return list(enumerate(size.names))


def _well(plate: int, barcode: str, well: str, index: int, n_treated: int) -> dict[str, Any]:
    place = {"plate": barcode, "well": well, "metadata": json.dumps({"Metadata_Well": well})}
    if index < N_NEGCON:
        return {**place, "perturbation": "DMSO", "control_type": "negcon"}
    if index < N_NEGCON + N_POSCON:
        return {**place, "perturbation": f"POS{index % 2}", "concentration_micromolar": 5.0, "control_type": "poscon"}
    number = (plate // REPLICATES) * (n_treated // len(DOSES)) + (index - N_NEGCON - N_POSCON) // len(DOSES)
    return {
        **place,
        "perturbation": f"CPD-{number:05d}",
        "concentration_micromolar": DOSES[index % len(DOSES)],
        "control_type": CONTROL_TYPES[0],
        "name": f"compound {number}",
        "smiles": f"C1=CC=C(C=C1)C(=O)N{number % 9}CC(=O)O",
        "inchikey": f"{number:014d}-UHFFFAOYSA-N",
        "mechanism": _mechanism(number),
    }


def _mechanism(number: int) -> str | None:
    """Return what a compound is annotated with: five in seven are, some of them with two labels."""
    if number % 7 < 2:
        return None
    first = MECHANISMS[number % len(MECHANISMS)]
    return f"{first}|{MECHANISMS[(number // 7) % len(MECHANISMS)]}" if number % 10 == 1 else first


def calls(wells: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Return `PublishedCalls` of every treatment on every profile, with numbers that look like real ones."""
    kinds = wells.filter(pl.col("control_type").cast(pl.String).is_in(["treatment", "poscon"]))
    keys = ["perturbation", "concentration_micromolar", "dose_step", "control_type", "name", "smiles", "mechanism"]
    found = kinds.group_by(keys, maintain_order=True).agg(pl.len().alias("n_replicates"))
    profiles = pl.DataFrame({"profile": list(PROFILES)})
    frame = found.join(profiles, how="cross")
    rng = np.random.default_rng(seed)
    q = rng.beta(0.35, 1.0, len(frame)).clip(1e-4, 1)
    known = pl.col("mechanism").is_not_null()
    frame = frame.with_columns(
        n_plates=pl.col("n_replicates"),
        n_batches=pl.lit(2),
        n_controls=pl.lit(N_NEGCON * REPLICATES),
        mean_average_precision=pl.Series(rng.uniform(0.05, 1, len(frame))),
        p_value=pl.Series(q / 2),
        smallest_possible_p=pl.lit(1e-4),
        q_value=pl.Series(q),
        is_hit=pl.Series(q <= 0.05),
        call=pl.Series(np.where(q <= 0.05, "active", "inactive")),
        reason=pl.lit(None, dtype=pl.String),
        effect=pl.Series(rng.gamma(2, 1.5, len(frame))),
        cell_count_ratio=pl.Series(rng.normal(0.9, 0.2, len(frame)).clip(0, None)),
        p_position=pl.Series(q / 2),
        smallest_possible_p_position=pl.lit(1e-4),
        position_verdict=pl.lit("corrected"),
        **_explanations(len(frame), is_hit=q <= 0.05, rng=rng),
        mechanism_source=pl.when(known).then(pl.lit("annotated")).otherwise(pl.lit("none")),
        predicted_mechanism=pl.when(known).then(pl.lit(MECHANISMS[0])),
        mechanism_evidence=pl.when(known).then(pl.lit(json.dumps({"neighbours": 5, "similarity": 0.61}))),
    )
    return PublishedCalls.validate(frame.select(*PublishedCalls.columns()), cast=True)


def _explanations(n: int, *, is_hit: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, pl.Series]:
    """Return the columns that say what else could explain a hit: a verdict each, null where a call is none."""
    verdicts = {
        "explained_by_count": COUNT_VERDICTS,
        "channel_verdict": CHANNEL_VERDICTS,
        "batch_verdict": BATCH_VERDICTS,
        "quality_verdict": QUALITY_VERDICTS,
    }
    words = {name: np.array(verdict)[rng.integers(0, len(verdict), n)] for name, verdict in verdicts.items()}
    words["channel"] = np.array(["DNA", "ER"])[rng.integers(0, 2, n)]
    testable = rng.integers(0, 3, n)
    counts = {
        "n_other_positions": rng.integers(0, REPLICATES + 1, n),
        "n_batches_testable": testable,
        "n_batches_holding": rng.integers(0, testable + 1),
        "n_judged": np.full(n, REPLICATES),
        "n_flagged": rng.integers(0, REPLICATES + 1, n),
    }
    shares = {name: rng.uniform(0, 1, n) for name in ("other_positions_precision", "flagged_share_of_controls")}
    columns = {**words, **counts, **shares}
    return {
        name: pl.Series([value if hit else None for value, hit in zip(values.tolist(), is_hit, strict=True)])
        for name, values in columns.items()
    }


def neighbours(wells: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Return `TreatmentNeighbours`: other treatments by chance, the nearest first."""
    keyed = with_treatment_keys(wells.filter(pl.col("control_type").cast(pl.String).is_in(["treatment", "poscon"])))
    treatments = keyed["treatment"].unique().sort().to_numpy()
    rng = np.random.default_rng(seed)
    pieces = []
    for profile in PROFILES:
        chosen = rng.integers(0, len(treatments), (len(treatments), NEIGHBOURS))
        similarity = np.sort(rng.uniform(-0.2, 1, chosen.shape), axis=1)[:, ::-1]
        pieces.append(
            pl.DataFrame(
                {
                    "treatment": np.repeat(treatments, NEIGHBOURS),
                    "rank": np.tile(np.arange(1, NEIGHBOURS + 1), len(treatments)),
                    "neighbour": treatments[chosen.ravel()],
                    "similarity": similarity.ravel(),
                }
            ).with_columns(profile=pl.lit(profile))
        )
    return TreatmentNeighbours.validate(pl.concat(pieces).select(*TreatmentNeighbours.columns()), cast=True)


def unit_of(size: Size, barcode: str, wells: list[str], *, number: int) -> UnitSpec:
    """Return a unit of some wells of a plate, one plane a site: the ledger asks for no more."""
    planes = [
        PlaneRef(well=well, site=site, channel="DNA", relative_path=f"{well}-{site}-DNA.tif", size_bytes=2_000_000)
        for well in wells
        for site in range(1, size.sites + 1)
    ]
    return UnitSpec(
        key=sha(f"{barcode} {number}"), kind="embed", plate=barcode, root=f"/delivered/{barcode}", planes=tuple(planes),
        channels=CHANNELS, pixels=PIXELS, encoders=tuple(encoders()), pin=PIN, parts_uri="/parts",
        parts_folder=f"run-1/{barcode}",
    )  # fmt: skip


def result_of(spec: UnitSpec, *, seed: int, extra: tuple[PartReceipt, ...] = ()) -> dict[str, Any]:
    """Return what a worker returns of a unit: receipt, sites and channels."""
    rng = np.random.default_rng(seed)
    places = [(spec.plate, plane.well, plane.site) for plane in spec.planes]
    sites = pl.DataFrame(places, schema=["plate", "well", "site"], orient="row")
    n = len(sites)
    sites = sites.with_columns(
        status=pl.lit("ok"), reason=pl.lit(None, dtype=pl.String), cell_count=pl.Series(rng.poisson(120, n)),
        n_tiles=pl.lit(16), height=pl.lit(1080), width=pl.lit(1080),
    )  # fmt: skip
    channels = sites.select("plate", "well", "site").join(pl.DataFrame({"channel": list(CHANNELS)}), how="cross")
    m = len(channels)
    low = rng.uniform(100, 300, m)
    channels = channels.with_columns(
        power_loglog_slope=pl.Series(rng.normal(-2, 0.1, m)), saturation_fraction=pl.Series(rng.uniform(0, 1e-4, m)),
        mean=pl.Series(low * 2), sd=pl.Series(low / 3), percentile_1=pl.Series(low), percentile_99=pl.Series(low * 9),
    )  # fmt: skip
    parts = tuple(_part(spec, encoder.name, n) for encoder in spec.encoders)
    return {
        "receipt": Receipt(
            key=spec.key, parts=(*parts, *extra), n_sites=n, n_failed_sites=0, seconds={"read": 3.5, "embed": 20.25}
        ),
        "sites": SiteResults.validate(sites.select(*SiteResults.columns()), cast=True),
        "channels": ChannelQuality.validate(channels.select(*ChannelQuality.columns()), cast=True),
    }


def _part(spec: UnitSpec, encoder: str, n_rows: int) -> PartReceipt:
    path = f"{spec.parts_folder}/{spec.key[:20]}-{encoder}.parquet"
    return PartReceipt(
        kind="embedding", encoder=encoder, relative_path=path, sha256=sha(path), n_bytes=9, n_rows=n_rows
    )


def _plates(size: Size, roots: dict[str, str]) -> list[PlateOfRun]:
    n_sites = size.wells * size.sites
    counts = PlaneCounts(wells=size.wells, sites=n_sites, channels=len(CHANNELS), images=n_sites * len(CHANNELS))
    return [
        PlateOfRun(
            entry=PlateEntry(uri=roots.get(barcode, f"/delivered/{barcode}"), barcode=barcode, batch=f"b{number % 2}"),
            layout="files",
            manifest_sha256=sha(barcode),
            report=AcceptanceReport(
                plate=barcode,
                uri=f"/delivered/{barcode}",
                layout="files",
                verdict=Verdict.ACCEPT,
                channels=CHANNELS,
                expected=counts,
                delivered=counts,
                n_negcon_wells=N_NEGCON,
                n_poscon_wells=N_POSCON,
                n_treatment_wells=size.wells - N_NEGCON - N_POSCON,
                findings=(),
            ),
        )
        for number, barcode in enumerate(size.barcodes)
    ]


def register(catalog: Catalog, size: Size, wells: pl.DataFrame, *, roots: dict[str, str]) -> RunRecord:
    """Return one more run of all plates, running."""
    plates = _plates(size, roots)
    entries = [plate.entry for plate in plates]
    registered = register_run(
        catalog, ScreenConfig(screen="large", plates=entries), plates=plates, wells=wells, encoders=encoders(),
        pin=PIN, code_version="0.1.0", new=True,
    )  # fmt: skip
    return set_run_state(catalog, registered.run.id, RunState.RUNNING)


def fill(catalog: Catalog, size: Size, *, root: str, parts: tuple[UnitSpec, tuple[PartReceipt, ...]]) -> str:
    """Fill an empty catalog, and return the secret of a key that may read it.

    Args:
        catalog: Where.
        size: How much.
        root: Where the images of the plate `IMAGED` lie.
        parts: The survey unit of that plate with its file, and the file that says which images were read.
    """
    wells = layout(size)
    survey, (surveyed, images) = parts
    specs = [survey, *(unit_of(size, barcode, size.names, number=0) for barcode in size.barcodes)]
    owner = owner_of_this_process()
    for number in range(1, size.runs + 1):
        run = register(catalog, size, wells, roots={IMAGED: root})
        plan(catalog, run.id, specs)
        if number == 1:
            for seed, unit in enumerate(lease(catalog, run.id, owner, limit=len(specs), seconds=3600)):
                of_survey = unit.spec.kind == "survey"
                extra = (images,) if unit.spec.plate == IMAGED and not of_survey else ()
                result = _of_survey(unit.spec, surveyed) if of_survey else result_of(unit.spec, seed=seed, extra=extra)
                complete(catalog, run.id, fence=unit.fence, **result)
        else:
            adopt_finished(catalog, run.id)
        _publish(catalog, run, wells, seed=number)
    return create_key(catalog, name="benchmark", scopes=[Scope.READ])[1]


def add_run(catalog: Catalog, size: Size) -> str:
    """Fill in one more finished run, of other plates without images, and return its name."""
    wells = layout(size)
    run = register(catalog, size, wells, roots={})
    plan(catalog, run.id, [unit_of(size, barcode, size.names, number=0) for barcode in size.barcodes])
    for seed, unit in enumerate(lease(catalog, run.id, owner_of_this_process(), limit=size.plates, seconds=3600)):
        complete(catalog, run.id, fence=unit.fence, **result_of(unit.spec, seed=seed))
    _publish(catalog, run, wells, seed=0)
    return run.name


def _publish(catalog: Catalog, run: RunRecord, wells: pl.DataFrame, *, seed: int) -> None:
    receipts = [_write_profile(catalog, run, name, wells, seed=seed) for name in PROFILES]
    publish(
        catalog, run.id, calls=calls(wells, seed=seed), neighbours=neighbours(wells, seed=seed),
        profiles=receipts, state=RunState.COMPLETE, flags=flagged_in_run(catalog, run.id),
    )  # fmt: skip


def _write_profile(catalog: Catalog, run: RunRecord, name: str, wells: pl.DataFrame, *, seed: int) -> ProfileReceipt:
    """Write a profile in which treatments with the same mechanism lie together, so that a map can be made of it."""
    keys = ["plate", "well", "perturbation", "concentration_micromolar", "dose_step", "control_type"]
    rows = wells.sort("plate", "well")
    rng = np.random.default_rng([seed, PROFILES.index(name)])
    numbers = rows["mechanism"].rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    centres = rng.normal(size=(numbers.max() + 1, FEATURES))
    centres[0] = 0  # nothing is known of them
    matrix = (centres[numbers] + rng.normal(size=(rows.height, FEATURES))).astype(np.float32)
    content = embedding_table_bytes(rows.select(keys), matrix)
    path = f"{run.name}/profiles/{name}.parquet"
    write_atomically(join(catalog.parts_uri, path), content)
    return ProfileReceipt(
        name=name, relative_path=path, sha256=sha256_of_bytes(content), n_bytes=len(content), n_rows=rows.height,
        n_features=FEATURES,
    )  # fmt: skip


def _of_survey(spec: UnitSpec, part: PartReceipt) -> dict[str, Any]:
    receipt = Receipt(key=spec.key, parts=(part,), n_sites=len(spec.planes), n_failed_sites=0, seconds={"survey": 1.0})
    return {"receipt": receipt, "sites": None, "channels": None}
