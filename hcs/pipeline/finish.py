"""Stops 5 to 7 of a run: from its visible parts to profiles, calls and mechanisms, published by one commit.

From here on the tables are small; everything runs in this process with one BLAS thread, since float products differ
between one thread and two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import structlog
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hcs.catalog import (
    Catalog,
    RunRecord,
    channels_of,
    count_units,
    plates_of,
    publish,
    site_rows,
    visible_parts,
    wells_of,
)
from hcs.errors import InputRejectedError
from hcs.hits.activity import evaluate, table_of_calls
from hcs.hits.edge import plates_with_controls_at_edge
from hcs.hits.plate_centre import effects_from_plate_centre
from hcs.hits.treatments import ScreenWells, screen_wells
from hcs.hits.warnings import (
    activity_warnings,
    edge_warnings,
    needs_plate_centre,
    p_value_summary,
    say_plate_centre,
)
from hcs.io.storage import join, sha256_of_bytes, write_atomically
from hcs.io.tables import embedding_table_bytes, read_embedding_table
from hcs.io.well_places import with_places
from hcs.mechanisms.annotate import annotate_calls
from hcs.mechanisms.neighbours import treatment_neighbours
from hcs.pipeline.ahead import in_order
from hcs.pipeline.facts import facts_of_wells
from hcs.pipeline.flags import flagged_in_run
from hcs.pipeline.parts import readers_of
from hcs.pipeline.surveys import read_survey
from hcs.profiling.aggregate import aggregate_sites
from hcs.profiling.profiles import build_profiles
from schemas.results import ProfileReceipt, PublishedCalls, TreatmentNeighbours
from schemas.screen import ScreenConfig
from schemas.work import RunState, UnitState

log = structlog.get_logger(__name__)

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class WellTable:
    """Every well of a run that has a vector, and its vector by each encoder: rows in the order of `wells`."""

    wells: pl.DataFrame
    """What was done to each, its mean `cell_count` a site, `n_sites`, and `is_flagged`: whether one looks wrong.
    There is no such column where nobody looked."""
    embeddings: dict[str, NDArray[np.float32]]
    channels: tuple[str, ...] = ()
    """In the order of an embedding's; none where they are not known."""


@dataclass(frozen=True)
class RunResults:
    """What stops 5 and 6 make of a well table."""

    wells: pl.DataFrame
    profiles: dict[str, Matrix]
    calls: pl.DataFrame
    neighbours: pl.DataFrame
    notes: tuple[str, ...]


def finish_run(catalog: Catalog, run: RunRecord, *, holes: Sequence[str] = ()) -> RunState:
    """Compute and publish the results of a run whose units are all done or failed; return the state it ends in.

    Args:
        catalog: Where the run is.
        run: The run.
        holes: What is known to be missing already, as sentences: plates that were rejected, images not delivered.
    """
    flags = flagged_in_run(catalog, run.id)
    table, missing = read_wells(catalog, run, flags=flags)
    with threadpool_limits(limits=1):
        results = make_results(table, config=run.config)
    uncalled = [] if results.profiles else list(results.notes)
    told = [*survey_notes(catalog, run.id), *results.notes]
    found = [*holes, *uncalled, *missing, *_failed_units(catalog, run.id), *_uncallable(results.calls)]
    state = RunState.COMPLETE_WITH_HOLES if found else RunState.COMPLETE
    receipts = [_write_profile(catalog, run, name, results) for name in sorted(results.profiles)]
    publish(
        catalog,
        run.id,
        calls=results.calls,
        neighbours=results.neighbours,
        profiles=receipts,
        state=state,
        notes=list(dict.fromkeys([*told, *found])),
        flags=flags,
    )
    return state


def survey_notes(catalog: Catalog, run_id: int) -> list[str]:
    """Return what the surveys of a run's plates have to say; the same words about many plates are one note."""
    plates_by_note: dict[str, list[str]] = {}
    for row in visible_parts(catalog, run_id, kind="survey").sort("plate").iter_rows(named=True):
        survey = read_survey(join(catalog.parts_uri, row["relative_path"]), expected_sha256=row["sha256"])
        for note in survey.notes:
            plates_by_note.setdefault(note, []).append(row["plate"])
    return [f"{', '.join(plates[:5])}{' ...' * (len(plates) > 5)}: {note}" for note, plates in plates_by_note.items()]


def make_results(table: WellTable, *, config: ScreenConfig) -> RunResults:
    """Return profiles, calls and neighbours of the wells of a run. Wells that are excluded or empty are left out."""
    is_called = table.wells["control_type"].is_in(["treatment", "negcon", "poscon"]).fill_null(value=False)
    used = is_called & table.wells["excluded_reason"].is_null()
    wells = table.wells.filter(used)
    if wells.is_empty():
        return _no_results(wells, "no well has both a vector and a place in a platemap")
    rows = np.flatnonzero(used.to_numpy())
    embeddings = {name: matrix[rows] for name, matrix in table.embeddings.items()}
    try:
        profiles = build_profiles(wells, embeddings, config=config.profile)
    except InputRejectedError as error:
        return _no_results(wells, str(error))
    calls, neighbours = [], []
    told: dict[str, list[str]] = {}
    edge_plates = plates_with_controls_at_edge(with_places(table.wells).filter(used))
    for name, matrix in sorted(profiles.blocks.items()):
        facts = facts_of_wells(profiles, name, wells, channels=table.channels)
        screen = screen_wells(matrix, wells)
        found = evaluate(screen, q_max=config.hits.q_max, seed=config.hits.seed, facts=facts)
        called = table_of_calls(found.calls, name)
        for sentence in (*found.sentences, *activity_warnings(called), *_from_the_middle(screen, called, edge_plates)):
            told.setdefault(sentence, []).append(name)
        near = treatment_neighbours(matrix, wells, profile_name=name, operation=config.profile.consensus)
        calls.append(annotate_calls(called, matrix, wells, operation=config.profile.consensus))
        neighbours.append(near)
    return RunResults(
        wells=wells,
        profiles=dict(profiles.blocks),
        calls=pl.concat(calls),
        neighbours=pl.concat(neighbours),
        notes=(
            *profiles.notes,
            *edge_warnings(edge_plates),
            *(f"calls on {', '.join(names)}: {sentence}" for sentence, names in told.items()),
        ),
    )


def _from_the_middle(screen: ScreenWells, calls: pl.DataFrame, edge_plates: Sequence[str]) -> Iterator[str]:
    """Yield how hits stand against the middle of their plates, where the controls may be to blame."""
    if needs_plate_centre(p_value_summary(calls), edge_plates=edge_plates):
        sentence = say_plate_centre(calls, effects_from_plate_centre(screen))
        if sentence is not None:
            yield sentence


def _no_results(wells: pl.DataFrame, reason: str) -> RunResults:
    """Return the results of a run in which no well can be profiled: what was embedded is kept."""
    note = f"embeddings are stored, nothing is called: {reason}"
    return RunResults(
        wells=wells,
        profiles={},
        calls=PublishedCalls.create_empty(),
        neighbours=TreatmentNeighbours.create_empty(),
        notes=(note,),
    )


def read_wells(catalog: Catalog, run: RunRecord, *, flags: pl.DataFrame) -> tuple[WellTable, list[str]]:
    """Return the wells of a run with their vectors, and its holes. Plates are read one by one.

    Args:
        catalog: Where the run is.
        run: The run.
        flags: `flagged_in_run` of it.
    """
    sites = usable_sites(catalog, run, flags=flags)
    channels = tuple(channels_of(catalog, run.id))
    plates = plates_of(catalog, run.id).sort("plate")
    layout = wells_of(catalog, run=run.id).join(plates.select("plate", "batch"), on="plate", how="left")
    names = [info.name for info in run.encoders]
    pieces = [
        piece
        for plate in plates["plate"].to_list()
        if (piece := _plate_wells(catalog, run, plate, names, sites)) is not None
    ]
    if not pieces:
        empty = {name: np.zeros((0, 1), dtype=np.float32) for name in names}
        return WellTable(wells=_described(layout.clear().select("plate", "well"), layout, sites), embeddings=empty), []
    keys = pl.concat([piece.wells for piece in pieces])
    embeddings = {name: np.concatenate([piece.embeddings[name] for piece in pieces]) for name in names}
    table = WellTable(_described(keys, layout, sites), embeddings, channels)
    return table, list(_holes(layout, sites, keys))


def usable_sites(catalog: Catalog, run: RunRecord, *, flags: pl.DataFrame) -> pl.DataFrame:
    """Return the sites that enter profiles, measured and, if asked, not flagged.

    Returns:
        `plate, well, site, cell_count, is_flagged`.
    """
    keys = ["plate", "well", "site"]
    good = site_rows(catalog, run.id).filter(pl.col("status") == "ok").select(*keys, "cell_count")
    marked = flags.select(*keys, is_flagged=pl.lit(value=True))
    sites = good.join(marked, on=keys, how="left", maintain_order="left")
    sites = sites.with_columns(pl.col("is_flagged").fill_null(value=False))
    return sites if run.config.quality == "keep" else sites.filter(~pl.col("is_flagged"))


def _plate_wells(
    catalog: Catalog, run: RunRecord, plate: str, names: Sequence[str], sites: pl.DataFrame
) -> WellTable | None:
    """Return the wells of one plate, or nothing if none of its sites can be used."""
    embeddings: dict[str, NDArray[np.float32]] = {}
    wells = None
    for name in names:
        keys, vectors = read_plate_embedding(catalog, run, plate, name)
        rows = _rows_in(keys, sites)
        if not len(rows):
            return None
        aggregated, matrix = aggregate_sites(keys[rows], vectors[rows])
        wells = aggregated.select("plate", "well")
        embeddings[name] = matrix.astype(np.float32)
    return None if wells is None else WellTable(wells=wells, embeddings=embeddings)


def read_plate_embedding(
    catalog: Catalog, run: RunRecord, plate: str, encoder: str
) -> tuple[pl.DataFrame, NDArray[np.float32]]:
    """Return the sites of a plate, sorted, and their vectors (S, C x D) by one encoder.

    Raises:
        StorageError: If a part is not the file that was registered.
    """
    parts = visible_parts(catalog, run.id, kind="embedding", encoder=encoder, plate=plate)

    def one(row: tuple[str, str]) -> tuple[pl.DataFrame, NDArray[np.float32]]:
        return read_embedding_table(join(catalog.parts_uri, row[0]), expected_sha256=row[1])

    rows = parts.select("relative_path", "sha256").iter_rows()
    read = list(in_order(one, rows, threads=readers_of(catalog.parts_uri)))
    if not read:
        return pl.DataFrame(schema={"plate": pl.String, "well": pl.String, "site": pl.Int32}), np.zeros(
            (0, 1), np.float32
        )
    keys = pl.concat([frame for frame, _ in read]).with_row_index("row").sort("plate", "well", "site")
    vectors = np.concatenate([matrix for _, matrix in read])
    return keys.drop("row"), vectors[keys["row"].to_numpy()]


def _rows_in(keys: pl.DataFrame, sites: pl.DataFrame) -> NDArray[np.int64]:
    indexed = keys.select("plate", "well", "site").with_row_index("row")
    kept = indexed.join(sites, on=["plate", "well", "site"], how="semi")["row"]
    return np.sort(kept.to_numpy().astype(np.int64))


def _described(keys: pl.DataFrame, layout: pl.DataFrame, sites: pl.DataFrame) -> pl.DataFrame:
    """Return what was done to every well, with its mean cell count a site, in the order of `keys`."""
    counts = sites.group_by("plate", "well").agg(
        cell_count=pl.col("cell_count").mean(), n_sites=pl.len(), is_flagged=pl.col("is_flagged").any()
    )
    joined = keys.join(layout, on=["plate", "well"], how="left", maintain_order="left")
    return joined.join(counts, on=["plate", "well"], how="left", maintain_order="left")


def _holes(layout: pl.DataFrame, sites: pl.DataFrame, keys: pl.DataFrame) -> Iterator[str]:
    """Yield what a person must know is missing from the profiles, as sentences."""
    expected = layout.filter(pl.col("control_type") != "empty")
    without = expected.join(keys, on=["plate", "well"], how="anti").sort("plate", "well")
    if without.height:
        examples = ", ".join(f"{row['plate']}:{row['well']}" for row in without.head(5).iter_rows(named=True))
        yield f"{without.height} wells of the platemap have no usable site and no profile, first {examples}"
    unknown = keys.join(layout, on=["plate", "well"], how="anti")
    if unknown.height:
        yield f"{unknown.height} wells were embedded but are not in a platemap: they are stored and not called"


def _failed_units(catalog: Catalog, run_id: int) -> Iterator[str]:
    counts = count_units(catalog, run_id)
    n_failed = counts[UnitState.FAILED] + counts[UnitState.QUARANTINED]
    if n_failed:
        yield f"units that failed: {n_failed}; `hcs status` gives their reasons, `hcs retry` tries them again"
    failed_sites = site_rows(catalog, run_id).filter(pl.col("status") == "failed")
    if failed_sites.height:
        yield f"sites that could not be used: {failed_sites.height}, first: {failed_sites['reason'][0]}"


def _uncallable(calls: pl.DataFrame) -> Iterator[str]:
    """Yield a line when plates without negative controls kept treatments from being called."""
    reasons = calls.filter((pl.col("call") == "not_callable") & (pl.col("n_controls") == 0))
    if reasons.height:
        n_treatments = reasons.select("perturbation", "concentration_micromolar", "dose_step").n_unique()
        yield f"{n_treatments} treatments are not callable: none of their plates has a negative control"


def _write_profile(catalog: Catalog, run: RunRecord, name: str, results: RunResults) -> ProfileReceipt:
    """Write one profile of a run: one row a well, sorted, and its vector."""
    keys = results.wells.select(
        "plate", "well", "perturbation", "concentration_micromolar", "dose_step", "control_type"
    )
    matrix = results.profiles[name].astype(np.float32)
    content = embedding_table_bytes(keys, matrix)
    relative_path = f"{run.name}/profiles/{name}.parquet"
    write_atomically(join(catalog.parts_uri, relative_path), content)
    return ProfileReceipt(
        name=name,
        relative_path=relative_path,
        sha256=sha256_of_bytes(content),
        n_rows=keys.height,
        n_features=matrix.shape[1],
        n_bytes=len(content),
    )
