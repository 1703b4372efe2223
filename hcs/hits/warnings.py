"""What a person should know before believing a table of calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.statistics.p_values import PValueSummary, summarize_p_values

FEW_INACTIVE = 0.3
"""Below this share of treatments without an effect, negative controls may be what is unlike the rest."""
SURPRISING = 0.001
MIN_TESTS = 20
"""Fewer p-values tell nothing of their distribution."""
_NAMED = 5
_MOSTLY_CONTROLS = 0.5
"""Of the effect from the controls, less than this from the middle of the plate: the controls lie apart."""


def p_value_summary(calls: pl.DataFrame) -> PValueSummary:
    """Return what the p-values of the treatments look like, positive controls left out."""
    tested = calls.filter(pl.col("control_type").cast(pl.String) == "treatment")["p_value"]
    return summarize_p_values(tested.cast(pl.Float64).fill_null(float("nan")).to_numpy())


def needs_plate_centre(summary: PValueSummary, *, edge_plates: Sequence[str] = ()) -> bool:
    """Say whether the controls may be to blame: they lie at the edge alone, or hardly a treatment seems inactive."""
    return bool(edge_plates) or _hardly_inactive(summary)


def _hardly_inactive(summary: PValueSummary) -> bool:
    return summary.n >= MIN_TESTS and summary.share_inactive < FEW_INACTIVE


def edge_warnings(edge_plates: Sequence[str]) -> Iterator[str]:
    """Yield a sentence if treatments are compared with controls at the edge alone.

    Args:
        edge_plates: Where they are (`hcs.hits.edge.plates_with_controls_at_edge`).
    """
    if edge_plates:
        named = ", ".join(edge_plates[:_NAMED]) + " ..." * (len(edge_plates) > _NAMED)
        noun = "plate" if len(edge_plates) == 1 else "plates"
        yield (
            f"treatments inside {len(edge_plates)} {noun} ({named}) have negative controls in the outermost rows and "
            "columns alone: what the edge does to a well is taken for what treatments do; compare the effect from the "
            "controls with that from the middle of the plate, take out what rows and columns add, or put controls "
            "inside"
        )


def say_plate_centre(calls: pl.DataFrame, effects: NDArray[np.float64]) -> str | None:
    """Return how far hits lie from the middle of their plates beside how far from the controls; nothing without hits.

    Args:
        calls: `perturbation, control_type, is_hit, effect`.
        effects: Of each call, from the middle of its plates (`hcs.hits.plate_centre`); NaN where there is none.
    """
    hits = calls.with_columns(from_centre=pl.Series(effects, dtype=pl.Float64).fill_nan(None)).filter(
        pl.col("is_hit") & (pl.col("control_type").cast(pl.String) == "treatment")
    )
    hits = hits.drop_nulls(["effect", "from_centre"])
    if hits.is_empty():
        return None
    less = hits.filter(pl.col("from_centre") < _MOSTLY_CONTROLS * pl.col("effect")).sort("effect", descending=True)
    named = less["perturbation"].unique(maintain_order=True).to_list()
    first = f" ({', '.join(named[:_NAMED])}{' ...' * (len(named) > _NAMED)})" if named else ""
    middle, controls = (float(np.median(hits[name].to_numpy())) for name in ("from_centre", "effect"))
    return (
        f"from the middle of its plates instead of the controls the median hit has an effect of "
        f"{middle:.2f} instead of {controls:.2f}; less than half is left of "
        f"{less.height} of {hits.height}{first}, where the controls may be what differs"
    )


def activity_warnings(calls: pl.DataFrame, *, edge_plates: Sequence[str] = ()) -> Iterator[str]:
    """Yield a sentence for each thing that is odd about the controls and the p-values of the treatments.

    Args:
        calls: `control_type, p_value`.
        edge_plates: As for `edge_warnings`.
    """
    yield from edge_warnings(edge_plates)
    summary = p_value_summary(calls)
    if summary.n < MIN_TESTS:
        return
    if _hardly_inactive(summary):
        yield (
            f"only {summary.share_inactive:.0%} of {summary.n} treatments seem to do nothing: either most of them are "
            "active, or the negative controls differ from all other wells, as controls at the edge of a plate do; "
            "compare the effect from the controls with that from the middle of the plate"
        )
    if summary.right_tail_p < SURPRISING:
        yield (
            f"{summary.histogram[-1]} of {summary.n} p-values lie above .95, more than chance gives: replicates of "
            "treatments resemble one another less than controls do, so that p-values are too large; were they "
            "normalized on the controls that they are compared with?"
        )
