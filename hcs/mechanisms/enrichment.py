"""Which annotated mechanisms are more frequent in a cluster than by chance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from scipy.stats import hypergeom

from hcs.statistics.multiple_testing import benjamini_hochberg
from hcs.statistics.not_same import label_set

MIN_PERTURBATIONS = 2
"""A label that fewer perturbations have cannot be enriched, and is not tested."""


def enriched_mechanisms(members: pl.DataFrame, *, mechanisms: Mapping[str, str]) -> pl.DataFrame:
    """Return every annotated mechanism of every cluster, the most enriched first.

    What is counted are annotated perturbations, not treatments: ten doses of one compound are one witness. A
    perturbation whose doses lie in several clusters counts in each. The p-value is hypergeometric, one-sided, among all
    annotated perturbations that were clustered, noise included. The family of the q-values (Benjamini and Hochberg) is
    every pair of a cluster with annotated members and a label of at least two perturbations, also those that never
    meet.

    Args:
        members: `perturbation, cluster`, a row a treatment; null is noise.
        mechanisms: Perturbation -> mechanism; several labels are joined by `|`, and case does not tell them apart.

    Returns:
        `cluster, mechanism, n_with_mechanism, n_annotated, p_value, q_value`, sorted by cluster, p, number and name. A
        label that only one perturbation has is listed without p and q.
    """
    labels = _labels(members, mechanisms)
    annotated = members.select("perturbation", "cluster").unique().join(labels, on="perturbation", how="semi")
    placed = annotated.drop_nulls("cluster")
    n_tests = placed["cluster"].n_unique() * _n_testable(labels)
    counted = (
        placed.join(labels, on="perturbation")
        .group_by("cluster", "fold", "mechanism")
        .agg(n_with_mechanism=pl.len().cast(pl.Int64))
        .join(placed.group_by("cluster").agg(n_annotated=pl.len().cast(pl.Int64)), on="cluster")
        .join(labels.group_by("fold").agg(n_in_all=pl.len().cast(pl.Int64)), on="fold")
        .sort("cluster", "fold")
    )
    p_values = hypergeom.sf(
        counted["n_with_mechanism"].to_numpy().astype(float) - 1,
        annotated["perturbation"].n_unique(),
        counted["n_in_all"].to_numpy(),
        counted["n_annotated"].to_numpy(),
    )
    p_values = np.where(counted["n_in_all"].to_numpy() >= MIN_PERTURBATIONS, np.clip(p_values, 0, 1), np.nan)
    unmet = np.ones(n_tests - int((~np.isnan(p_values)).sum()))
    q_values = benjamini_hochberg(np.concatenate([p_values, unmet]))[: len(p_values)]
    return (
        counted.with_columns(pl.Series("p_value", p_values), pl.Series("q_value", q_values))
        .with_columns(pl.col("p_value", "q_value").fill_nan(None))
        .sort("cluster", "p_value", "n_with_mechanism", "fold", descending=[False, False, True, False], nulls_last=True)
        .select("cluster", "mechanism", "n_with_mechanism", "n_annotated", "p_value", "q_value")
    )


def _labels(members: pl.DataFrame, mechanisms: Mapping[str, str]) -> pl.DataFrame:
    """Return `perturbation, fold, mechanism`: the labels of those that were clustered, each spelt in one way."""
    rows = [
        (name, fold, spelt)
        for name in members["perturbation"].unique().sort()
        for spelt in sorted({label.strip() for label in mechanisms.get(name, "").split("|")})
        for fold in label_set(spelt)
    ]
    schema = {"perturbation": pl.String, "fold": pl.String, "mechanism": pl.String}
    labels = pl.DataFrame(rows, schema=schema, orient="row")
    return labels.with_columns(pl.col("mechanism").min().over("fold")).unique(maintain_order=True)


def _n_testable(labels: pl.DataFrame) -> int:
    return labels.group_by("fold").len().filter(pl.col("len") >= MIN_PERTURBATIONS).height
