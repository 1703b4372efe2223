"""`hcs score activity`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.options import FormatOption, OutputOption
from hcs.cli.output import Format, counted, print_table, say
from hcs.cli.profiles.options import FeaturesOption, In, MetadataOption
from hcs.cli.score.reading import (
    ControlsOption,
    PerturbationOption,
    PlateOption,
    QMaxOption,
    SeedOption,
    WellOption,
    read_scored,
    say_spellings,
    say_unnamed,
)
from hcs.cli.score.within import Stratum, WithinOption, in_front, strata_of
from hcs.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from hcs.hits.explain_hit import WellFacts
    from hcs.hits.profile_table import WellColumns
    from hcs.hits.treatments import ScreenWells
    from hcs.profiling.matrix import ProfileMatrix

COLUMNS = (
    "perturbation",
    "concentration",
    "control_type",
    "n_replicates",
    "n_controls",
    "mean_average_precision",
    "p_value",
    "smallest_possible_p",
    "p_position",
    "q_value",
    "is_hit",
    "call",
    "effect",
    "effect_from_plate_centre",
    "cell_count_ratio",
    "explained_by_count",
    "position_verdict",
    "channel_verdict",
    "channel",
    "batch_verdict",
    "quality_verdict",
    "reason",
)
FURTHER_COLUMNS = (
    "smallest_possible_p_position",
    "n_other_positions",
    "other_positions_precision",
    "n_batches_testable",
    "n_batches_holding",
    "n_judged",
    "n_flagged",
    "flagged_share_of_controls",
)
"""What a file, csv and json have beside them: a terminal has no room for it."""
OF_OPTIONS = {
    "concentration": ("concentration",),
    "cells": ("cell_count_ratio", "explained_by_count"),
    "channels": ("channel_verdict", "channel"),
    "flagged": ("quality_verdict", "n_judged", "n_flagged", "flagged_share_of_controls"),
    "batch": ("batch_verdict", "n_batches_testable", "n_batches_holding"),
}
"""Columns that say nothing where the option is not given, or the table has no such column."""


@dataclass(frozen=True)
class _Screen:
    """The wells that may be compared."""

    wells: ScreenWells
    edge_plates: tuple[str, ...]
    """Those whose negative controls stand at the edge alone."""


@dataclass(frozen=True)
class _Found:
    """What is said of them."""

    calls: pl.DataFrame
    sentences: tuple[str, ...]
    """What control positions show."""
    edge_plates: tuple[str, ...]


class Null(StrEnum):
    """What p-values compare with."""

    JOINT = "joint"
    COPAIRS = "copairs"


def activity(
    source: In,
    perturbation: PerturbationOption,
    controls: ControlsOption,
    positives: Annotated[
        str | None, typer.Option("--positives", metavar="EXPR", help="Positive controls, a family of their own [none].")
    ] = None,
    fitted: Annotated[
        str | None,
        typer.Option("--fitted", metavar="EXPR", help="Controls that a transform was fitted on: no negatives [none]."),
    ] = None,
    concentration: Annotated[
        str | None,
        typer.Option(
            "--concentration", metavar="COLUMN", help="Doses in any unit, each called within its perturbation."
        ),
    ] = None,
    cells: Annotated[
        str | None, typer.Option("--cells", metavar="COLUMN", help="Cell counts, for what they explain of a hit.")
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            "--channels", metavar="NAMES", help="As DNA,RNA,ER: words in the names of features; is a hit in one alone?"
        ),
    ] = None,
    flagged: Annotated[
        str | None,
        typer.Option("--flagged", metavar="EXPR", help="Wells with bad images: has a hit more of them? [not known]"),
    ] = None,
    batch: Annotated[
        str, typer.Option("--batch", metavar="COLUMN", help="Batches, if there are any: in how many does a hit hold?")
    ] = "Metadata_Batch",
    plate: PlateOption = "Metadata_Plate",
    well: WellOption = "Metadata_Well",
    within: WithinOption = None,
    same_plate: Annotated[
        bool,
        typer.Option("--same-plate/--any-plate", help="Compare with controls of the well's own plate, or of all."),
    ] = True,
    null: Annotated[
        Null, typer.Option("--null", help="joint: the design permutation; copairs: as copairs 0.5.5.")
    ] = Null.JOINT,
    q_max: QMaxOption = 0.05,
    seed: SeedOption = 0,
    metadata: MetadataOption = None,
    features: FeaturesOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Say which perturbations are active: do their replicates resemble one another more than they do the controls?

    One well alone is compared with controls by its distance from them.

    Example: hcs score activity selected.parquet --perturbation Metadata_compound --controls "Metadata_type == 'negcon'"
    """
    import polars as pl
    from threadpoolctl import threadpool_limits

    from hcs.hits.profile_table import WellColumns

    if null is Null.JOINT and not same_plate:
        raise UsageError(
            "the joint null deals wells within their plates, so it compares with controls of the same plate; for "
            "controls of all plates add --null copairs"
        )
    profiles = read_scored(source, metadata=metadata, features=features)
    columns = WellColumns(
        perturbation=perturbation, concentration=concentration, cells=cells, plate=plate, well=well, batch=batch
    )
    known = {
        "concentration": concentration,
        "cells": cells,
        "channels": channels,
        "flagged": flagged,
        "batch": batch if batch in profiles.metadata.columns else None,
    }
    unknown = {name for option, names in OF_OPTIONS.items() if known[option] is None for name in names}
    _say_batches(batch, profiles.metadata.columns)
    with threadpool_limits(limits=1):
        strata = strata_of(profiles, within, taken=(*COLUMNS, *FURTHER_COLUMNS))
        wells = _wells(profiles, columns, {"is_negcon": controls, "is_poscon": positives, "is_fitted": fitted})
        if null is Null.COPAIRS:
            found = [
                _as_copairs(_screen(profiles, wells, stratum), same_plate=same_plate, q_max=q_max, seed=seed)
                for stratum in strata
            ]
        else:
            facts = _facts(profiles, channels=channels, flagged=flagged)
            found = [
                _calls(_screen(profiles, wells, stratum), facts.chosen(stratum.rows), q_max=q_max, seed=seed)
                for stratum in strata
            ]
    shown = pl.concat(
        [in_front(stratum, part.calls) for stratum, part in zip(strata, found, strict=True)], how="diagonal"
    ).rename({"concentration_micromolar": "concentration"})  # in whatever unit the table has
    labels = tuple(strata[0].labels)
    wanted = (*labels, *COLUMNS, *(FURTHER_COLUMNS if output is not None or form is not Format.TABLE else ()))
    kept = [name for name in wanted if name in shown.columns and name not in unknown]
    print_table(shown.select(kept), form=form, output=output)
    for stratum, part in zip(strata, found, strict=True):
        stratum.say()
        _say_what_they_are_like(part, q_max=q_max)


def _say_batches(batch: str, names: Sequence[str]) -> None:
    """Say where a column of batches is missed by the case of its name."""
    alike = [name for name in names if name.casefold() == batch.casefold()]
    if batch not in names and alike:
        say(f"no column {batch}: all wells count as one batch; --batch {alike[0]} names one that is like it")


def _wells(profiles: ProfileMatrix, columns: WellColumns, selections: dict[str, str | None]) -> pl.DataFrame:
    from hcs.hits.profile_table import wells_of
    from hcs.profiling.selection import select_rows

    chosen = {name: select_rows(profiles.metadata, text) for name, text in selections.items() if text is not None}
    wells = wells_of(profiles.metadata, columns, **chosen)
    say_unnamed(wells.filter(wells["control_type"] == "empty").height, columns.perturbation)
    say_spellings(wells.filter(wells["control_type"] == "treatment")["perturbation"], columns.perturbation)
    if wells["well"].null_count() == wells.height:
        say(
            f"no column {columns.well}: which wells share a place is not known, nor what places do; --well names a "
            "column that the table has"
        )
    return wells


def _screen(profiles: ProfileMatrix, wells: pl.DataFrame, stratum: Stratum) -> _Screen:
    from hcs.hits.edge import plates_with_controls_at_edge
    from hcs.hits.treatments import screen_wells
    from hcs.io.well_places import with_places

    own = wells.filter(stratum.rows)
    return _Screen(
        screen_wells(profiles.values[stratum.rows], own), edge_plates=plates_with_controls_at_edge(with_places(own))
    )


def _as_copairs(screen: _Screen, *, same_plate: bool, q_max: float, seed: int) -> _Found:
    from hcs.hits.copairs import call_as_copairs

    calls = call_as_copairs(screen.wells, same_plate=same_plate, q_max=q_max, seed=seed)
    return _Found(calls, (), screen.edge_plates)


def _facts(profiles: ProfileMatrix, *, channels: str | None, flagged: str | None) -> WellFacts:
    """Return what the table says of its wells beside the profiles."""
    from hcs.hits.explain_hit import ScaledProfiles, WellFacts
    from hcs.hits.fluorescence import channels_by_name
    from hcs.profiling.selection import select_rows

    scaled = None
    if channels is not None:
        names = [name.strip() for name in channels.split(",") if name.strip()]
        columns = channels_by_name(profiles.features, names)
        without = [name for name in names if not columns[name]]
        if len(names) < 2 or without:
            raise UsageError(
                "--channels expects two names or more, with commas between them, each of them a word between the "
                f"underscores of features such as {profiles.features[0]}, but got {channels!r}, of which "
                f"{without[0] if without else 'there is one'} {'is in no feature' if without else 'only'}"
            )
        scaled = ScaledProfiles((profiles.values,), columns)
    flags = None if flagged is None else select_rows(profiles.metadata, flagged).astype(float)
    return WellFacts(flags=flags, scaled=scaled)


def _calls(screen: _Screen, facts: WellFacts, *, q_max: float, seed: int) -> _Found:
    import polars as pl

    from hcs.hits.activity import evaluate
    from hcs.hits.plate_centre import effects_from_plate_centre
    from hcs.hits.warnings import needs_plate_centre, p_value_summary

    found = evaluate(screen.wells, q_max=q_max, seed=seed, facts=facts)
    calls = found.calls
    if needs_plate_centre(p_value_summary(calls), edge_plates=screen.edge_plates):
        effects = pl.Series(effects_from_plate_centre(screen.wells)).fill_nan(None)
        calls = calls.with_columns(effect_from_plate_centre=effects)
    return _Found(calls, found.sentences, screen.edge_plates)


def _say_what_they_are_like(found: _Found, *, q_max: float) -> None:
    from hcs.hits.warnings import activity_warnings, p_value_summary

    calls = found.calls
    tested = calls.drop_nulls("p_value")
    if tested.is_empty():
        say(
            "nothing could be tested: no perturbation has two replicates on plates with negative controls, or one "
            "beside enough of them"
        )
        return
    summary = p_value_summary(calls)
    smallest = min(tested["smallest_possible_p"].to_list())
    say(
        f"{int(calls['is_hit'].sum())} of {counted(calls.height, 'row')} called active at q <= {q_max:g}; the smallest "
        f"p that any layout here can reach is {smallest:.2g}"
    )
    if summary.n:
        say(
            f"p-values in twentieths: {' '.join(map(str, summary.histogram))}; share that does nothing, estimated from "
            f"the large ones: {summary.share_inactive:.0%}"
        )
    for sentence in found.sentences:
        say(sentence)
    for warning in activity_warnings(calls, edge_plates=found.edge_plates):
        say(f"warning: {warning}")
