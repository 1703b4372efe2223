"""An audit as a table, as one object, and as sentences."""

from __future__ import annotations

from typing import Any

import polars as pl

from hcs.profiling.audit.audit import Audit, MethodAudit
from hcs.profiling.audit.rule import BASELINE
from hcs.statistics.intervals import MeanInterval

SCHEMA = {
    "method": pl.String,
    "is_picked": pl.Boolean,
    "retrieval": pl.Float64,
    "retrieval_low": pl.Float64,
    "retrieval_high": pl.Float64,
    "gain": pl.Float64,
    "gain_low": pl.Float64,
    "gain_high": pl.Float64,
    "retrieval_chosen_on": pl.Float64,
    "retrieval_by_chance": pl.Float64,
    "controls_by_position": pl.Float64,
    "controls_by_chance": pl.Float64,
    "local_diversity": pl.Float64,
    "even_diversity": pl.Float64,
    "batch_silhouette": pl.Float64,
    "batch_variance": pl.Float64,
    "replicate_distance": pl.Float64,
    "rand_index": pl.Float64,
    "not_same_batch": pl.Float64,
    "held_out_controls": pl.Float64,
    "n_fitted": pl.Int64,
    "fitted_on": pl.String,
    "refused": pl.String,
}


def method_table(audit: Audit) -> pl.DataFrame:
    """Return one row a method.

    `retrieval` is the mean average precision of the perturbations that the rule did not look at, with its interval,
    `gain` their paired difference to `none`; `controls_by_position` is the same figure of negative controls that share
    a position, beside what chance gives; `held_out_controls` is the ratio of the lengths of held-out and
    fitted controls.
    """
    return pl.DataFrame([_row(one, audit) for one in audit.methods], schema=SCHEMA)


def _row(one: MethodAudit, audit: Audit) -> dict[str, Any]:
    return {
        "method": one.method,
        "is_picked": one.method == audit.choice.method,
        **_interval("retrieval", one.reported),
        **_interval("gain", one.gain if one.method != BASELINE else None),
        "retrieval_chosen_on": one.chosen_on,
        "retrieval_by_chance": one.retrieval.expected if one.retrieval else None,
        "controls_by_position": one.biology.position_matched if one.biology else None,
        "controls_by_chance": one.biology.position_matched_expected if one.biology else None,
        "local_diversity": one.mixing.diversity if one.mixing else None,
        "even_diversity": one.mixing.even_diversity if one.mixing else None,
        "batch_silhouette": one.mixing.silhouette if one.mixing else None,
        "batch_variance": one.mixing.variance_share if one.mixing else None,
        "replicate_distance": one.biology.distance if one.biology else None,
        "rand_index": one.biology.rand_index if one.biology else None,
        "not_same_batch": one.biology.not_same_batch if one.biology else None,
        "held_out_controls": one.control_ratio,
        "n_fitted": one.n_fitted,
        "fitted_on": one.fitted_on,
        "refused": one.refused,
    }


def _interval(name: str, found: MeanInterval | None) -> dict[str, float | None]:
    if found is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}


def verdict(audit: Audit) -> str:
    """Return in one sentence what was picked and what may be claimed."""
    claim = (
        "nothing is claimed to be corrected"
        if audit.choice.method == BASELINE
        else "the uncorrected profiles stay as the baseline"
    )
    return f"picked {audit.choice.method}: {audit.choice.because}; {claim}"


def sentences(audit: Audit) -> list[str]:
    """Return what a person must know beside the figures."""
    said = [one.sentence for one in audit.confounding if one.n_levels > 1]
    if audit.layout is not None:
        said.append(audit.layout.sentence)
    if audit.batch_test is not None:
        said.append(
            f"test for a batch effect beyond that of plates: p = {audit.batch_test.p_value:.2g}, the smallest possible "
            f"is {audit.batch_test.smallest_possible_p:.2g}"
        )
    if audit.n_batches < 2:
        said.append("all wells are of one batch, so there is nothing to correct for")
    else:
        said.append(
            f"perturbations that the rule chose on: {audit.n_chosen_on}; others that retrieval and gain are of: "
            f"{audit.n_reported}, with intervals of 95 % by bootstrap over them"
        )
    for one in audit.methods:
        if one.refused:
            said.append(f"{one.method} cannot be applied: {one.refused}")
        said += [f"{one.method}: {note}" for note in one.notes]
    return [*said, *audit.notes]


def as_object(audit: Audit) -> dict[str, Any]:
    """Return all of it as values that JSON knows, None for what is not told."""
    return {
        "picked": audit.choice.method,
        "because": audit.choice.because,
        "is_confounded": audit.is_confounded,
        "layout_is_identical": None if audit.layout is None else audit.layout.is_identical,
        "same_position_share": None if audit.layout is None else audit.layout.same_position_share,
        "batch_effect_p": None if audit.batch_test is None else audit.batch_test.p_value,
        "batch_effect_smallest_p": None if audit.batch_test is None else audit.batch_test.smallest_possible_p,
        "n_wells": audit.n_wells,
        "n_batches": audit.n_batches,
        "n_perturbations_chosen_on": audit.n_chosen_on,
        "n_perturbations_reported": audit.n_reported,
        "seed": audit.seed,
        "confounding": [
            {
                "factor": one.factor,
                "levels": one.n_levels,
                "differences_lost": one.n_lost,
                "perturbations": one.n_perturbations,
                "perturbations_in_several": one.n_in_several,
            }
            for one in audit.confounding
        ],
        "methods": method_table(audit).to_dicts(),
        "sentences": [verdict(audit), *sentences(audit)],
    }
