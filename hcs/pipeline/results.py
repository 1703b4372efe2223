"""Stops 5 and 6 of a run: from its wells to profiles, calls and mechanisms. Nothing is read or written here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

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
from hcs.io.well_places import with_places
from hcs.mechanisms.annotate import annotate_calls
from hcs.mechanisms.neighbours import treatment_neighbours
from hcs.pipeline.facts import facts_of_wells
from hcs.pipeline.well_table import WellTable
from hcs.profiling.profiles import build_profiles
from schemas.results import PublishedCalls, TreatmentNeighbours
from schemas.screen import ScreenConfig

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class RunResults:
    """What stops 5 and 6 make of a well table."""

    wells: pl.DataFrame
    profiles: dict[str, Matrix]
    calls: pl.DataFrame
    neighbours: pl.DataFrame
    notes: tuple[str, ...]


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
