"""Calls every treatment: does it look different from the negative controls, and can this layout tell?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.hits.calls import with_calls
from hcs.hits.count import count_ratios
from hcs.hits.evidence import Evidence, gather_evidence
from hcs.hits.explain import say_inflation, say_what_is_left
from hcs.hits.explain_hit import WellFacts, explain_hits
from hcs.hits.position import ScoredPositions, correct_by_position, score_positions
from hcs.hits.single_wells import with_single_wells
from hcs.hits.treatments import ScreenWells, screen_wells
from hcs.statistics.position_inflation import Inflation
from schemas.tables import TreatmentCalls

_LATER = ("profile", "p_position", "smallest_possible_p_position", "position_verdict", "q_value", "is_hit", "call")
"""Columns that are known only once all treatments have been looked at."""
_OF_HITS = (
    "explained_by_count", "n_other_positions", "other_positions_precision", "channel_verdict", "channel",
    "batch_verdict", "n_batches_testable", "n_batches_holding", "quality_verdict", "n_judged", "n_flagged",
    "flagged_share_of_controls",
)  # fmt: skip


@dataclass(frozen=True)
class Activity:
    """The calls of a screen, and what must be known of all of them."""

    calls: pl.DataFrame
    """The columns of `TreatmentCalls` without `profile`."""
    inflation: Inflation
    """What the control positions of all plates together score."""
    sentences: tuple[str, ...]
    """What control positions show, and what they leave to be called."""


def call_activity(
    profiles: NDArray[np.floating], wells: pl.DataFrame, *, profile_name: str, q_max: float, seed: int
) -> dy.DataFrame[TreatmentCalls]:
    """Return one call a treatment: a perturbation at one concentration or dose step.

    Replicates are compared with the negative controls of their own plate, all of them together; controls are never
    pooled over plates. `p_value` is that of the joint design permutation (`hcs.statistics.permutation`), for which each
    plate's pool is centred; `mean_average_precision` is the plain one. `p_position` is the p-value without what control
    wells get that share a position over the plates (`hcs.hits.position`); where the treatment's own wells share none,
    or no controls do, it is `p_value`, and `position_verdict` says so. q-values are of `p_position` and made within
    treatments and within positive controls, so that controls do not change what is called of compounds; of several
    doses, the perturbation is found first.

    A treatment is `active` if its q-value is at most `q_max`; else `underpowered` if even the smallest p-value that its
    layout and its positions leave, at that many doses, exceeds `q_max` over the number of callable perturbations, so
    that alone it could not have been called; else `inactive`. A treatment of one well cannot agree with itself: its
    p-value is that of its distance from controls (`hcs.hits.single_wells`), its q is made among such treatments, and
    `reason` says so. It is `not_callable`, with a reason, if no replicate lies on a plate with a negative control, or
    a single one on a plate with fewer than two, or where no plate has four. Hits carry what else could explain them
    (`hcs.hits.explain_hit`).

    Args:
        profiles: (N, D), one row a well in the order of `wells`, normalized, finite. Treatment wells without an effect
            must be exchangeable with the controls of their plate: fits have seen both alike.
        wells: `plate, well, batch, perturbation, concentration_micromolar, dose_step, control_type, cell_count`; empty
            wells are left out. Where a transform was fitted on controls, `is_fitted` says on which: these are neither
            negatives nor part of the null, and are not counted.
        profile_name: Which profile this is, for the table.
        q_max: Largest false discovery rate of a hit.
        seed: Of the random draws. p-values depend on it, the layout and the profiles alone: not on names of plates, on
            the order of rows, or on other treatments; those of one well depend on the controls of other plates and on
            names of wells. `p_position` depends on the controls, and on which treatments
            share which plates, too.

    Returns:
        Treatments, then positive controls, sorted by perturbation and dose. `n_replicates`, `n_plates` and `n_batches`
        count the replicates that were used; `reason` tells of others.

    Raises:
        InputRejectedError: If the two do not fit, a well comes twice or lacks its perturbation, or a profile is not
            finite.
    """
    return table_of_calls(evaluate(screen_wells(profiles, wells), q_max=q_max, seed=seed).calls, profile_name)


def table_of_calls(calls: pl.DataFrame, profile_name: str) -> dy.DataFrame[TreatmentCalls]:
    """Return the calls of an `Activity` as the table that is stored."""
    named = calls.with_columns(profile=pl.lit(profile_name))
    return TreatmentCalls.validate(named.select(TreatmentCalls.column_names()), cast=True)


def evaluate(screen: ScreenWells, *, q_max: float, seed: int, facts: WellFacts | None = None) -> Activity:
    """Return the calls of a screen's treatments, as `call_activity` does, and what control positions show.

    Args:
        screen: The wells.
        q_max: Largest false discovery rate of a hit.
        seed: Of the random draws.
        facts: What is known of the wells beside their profiles; of what is not known verdicts are `cannot_tell`.

    Raises:
        InputRejectedError: If the facts are about other wells.
    """
    known = (facts or WellFacts()).of(screen)
    screen = screen.within(known.strata)
    ratios = count_ratios(screen.cell_counts, screen.plates, screen.is_negcon)
    evidence = with_single_wells(gather_evidence(screen, seed=seed), screen, strata=known.strata)
    scored = score_positions(
        screen.profiles,
        screen.plates,
        screen.positions,
        is_negcon=screen.is_negcon,
        treatments=screen.numbers,
        strata=known.strata,
        seed=seed,
    )
    called = with_calls(_with_positions(_evidence_table(evidence, ratios), evidence, scored), q_max=q_max)
    hits = [number for number, is_hit in enumerate(called["is_hit"]) if is_hit]
    found = explain_hits(screen, ratios, [evidence[hit].replicates for hit in hits], facts=known, seed=seed)
    said = {hit: explanation.columns for hit, explanation in zip(hits, found, strict=True)}
    calls = called.with_columns(_columns_of_hits(said, n=called.height))
    inflation = scored.inflation()
    return Activity(calls, inflation, tuple(_sentences(calls, inflation, q_max=q_max)))


def _with_positions(rows: pl.DataFrame, evidence: Sequence[Evidence], scored: ScoredPositions) -> pl.DataFrame:
    """Add the p-values without what positions give for nothing."""
    corrected = correct_by_position(
        scored,
        [item.replicates for item in evidence],
        p_values=rows["p_value"].fill_null(float("nan")).to_numpy(),
        smallest_possible=rows["smallest_possible_p"].fill_null(float("nan")).to_numpy(),
    )
    return rows.with_columns(
        p_position=pl.Series(corrected.p_position, dtype=pl.Float64).fill_nan(None),
        smallest_possible_p_position=pl.Series(corrected.smallest_possible_p, dtype=pl.Float64).fill_nan(None),
        position_verdict=pl.Series(corrected.verdicts, dtype=pl.String),
    ).with_columns(position_verdict=pl.when(pl.col("p_value").is_not_null()).then("position_verdict"))


def _columns_of_hits(found: Mapping[int, Mapping[str, object]], *, n: int) -> list[pl.Series]:
    """Return what is said of hits, null in the rows of other treatments."""
    schema = TreatmentCalls.create_empty().schema
    nothing: Mapping[str, object] = {}
    return [
        pl.Series(
            name,
            [found.get(row, nothing).get(name) for row in range(n)],
            dtype=pl.String if isinstance(schema[name], pl.Enum) else schema[name],
        )
        for name in _OF_HITS
    ]


def _sentences(calls: pl.DataFrame, inflation: Inflation, *, q_max: float) -> Iterator[str]:
    treated = calls.filter(
        (pl.col("control_type") == "treatment") & pl.col("p_value").is_not_null() & (pl.col("n_replicates") > 1)
    )
    if treated.is_empty():
        return
    n_left_alone = treated.filter(position_verdict="not_shared").height
    if n_left_alone == treated.height:
        yield (
            "treatments lie in other positions on other plates, so that no place by itself makes their wells alike: "
            "p-values are as they came"
        )
        return
    yield say_inflation(inflation)
    if n_left_alone:
        yield (
            f"{n_left_alone} of {treated.height} treatments lie in other positions on other plates: their p-values are "
            "as they came"
        )
    corrected = treated.filter(position_verdict="corrected")
    if corrected.is_empty():
        return
    left = say_what_is_left(
        corrected["smallest_possible_p_position"].to_numpy().min(),
        smallest_of_layout=corrected["smallest_possible_p"].to_numpy().min(),
        q_max=q_max,
        n_tested=treated["perturbation"].n_unique(),
        n_corrected=corrected["perturbation"].n_unique(),
    )
    if left is not None:
        yield left


def _evidence_table(evidence: Sequence[Evidence], ratios: NDArray[np.float64]) -> pl.DataFrame:
    rows = [
        {
            "perturbation": item.treatment.perturbation,
            "concentration_micromolar": item.treatment.concentration_micromolar,
            "dose_step": item.treatment.dose_step,
            "control_type": item.treatment.control_type,
            "n_replicates": len(item.replicates),
            "n_plates": item.n_plates,
            "n_batches": item.n_batches,
            "n_controls": item.n_controls,
            "mean_average_precision": item.mean_average_precision,
            "p_value": item.test.p_value if item.test else None,
            "smallest_possible_p": item.test.smallest_possible_p if item.test else None,
            "reason": item.reason,
            "effect": item.effect,
            "cell_count_ratio": _median_ratio(ratios[item.treatment.wells]),
        }
        for item in evidence
    ]
    return pl.DataFrame(rows, schema=TreatmentCalls.create_empty().drop(_LATER + _OF_HITS).schema)


def _median_ratio(ratios: NDArray[np.float64]) -> float | None:
    counted = ratios[np.isfinite(ratios)]
    return float(np.median(counted)) if counted.size else None
