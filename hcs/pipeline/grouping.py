"""What the treatments of a finished run are by mechanism: their clusters, and how far these can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hcs.catalog import EVERY_CALL, Catalog, RunRecord, find_hits
from hcs.mechanisms.clusters import cluster_treatments
from hcs.mechanisms.consensus import Consensus, consensus_profiles
from hcs.mechanisms.enrichment import enriched_mechanisms
from hcs.mechanisms.figures import agreement_figures
from hcs.pipeline.stored import read_profile
from hcs.statistics.consensus import Operation

BETWEEN_NAMES = "; "
"""Joins the members of a cluster: names of compounds have commas."""


@dataclass(frozen=True)
class Grouping:
    """The clusters of a run's treatments on one profile."""

    clusters: pl.DataFrame
    """`cluster, size, n_perturbations, members, mechanism, n_with_mechanism, p_value, q_value, share_annotated`, the
    largest first; noise is the last row, with null for its cluster."""
    members: pl.DataFrame
    """A row a treatment: which it is, what is known of it, its cluster and its place in a picture."""
    figures: pl.DataFrame
    """`figure, value, shuffled, n, reason`."""
    notes: tuple[str, ...]
    """What could not be done, and why."""


def group_treatments(
    catalog: Catalog, run: RunRecord, *, profile: str = "combined", everything: bool = False, seed: int = 0
) -> Grouping:
    """Return the clusters of the treatments of a run, the same for a seed.

    Hits are clustered: the profile of an inactive treatment is noise, and noise has no mechanism. Positive controls are
    treatments like others.

    Args:
        catalog: Where the run is.
        run: A finished run.
        profile: The profile that is clustered, whose hits are meant.
        everything: Whether treatments that are no hits are clustered too.
        seed: Of the embedding, and of the shuffles.

    Raises:
        NotFoundError: If the run has no results, or not this profile; it offers those there are.
        StorageError: If the profile is not the file that was registered.
    """
    calls = find_hits(catalog, EVERY_CALL, run=run.id, profile=profile)
    wells, matrix = read_profile(catalog, run, profile)
    chosen = calls if everything else calls.filter("is_hit")
    operation = run.config.profile.consensus
    with threadpool_limits(limits=1):
        consensus = _only(consensus_profiles(matrix, wells, operation=operation), chosen)
        by_batch = _by_batch(matrix, wells, chosen, operation=operation)
        grouping = _group(consensus, by_batch, calls=calls, seed=seed)
    if chosen.is_empty():
        advice = "a treatment needs two wells to be called" if everything else "--all clusters the others too"
        what = "no treatment was called" if everything else "no treatment is a hit"
        return Grouping(grouping.clusters, grouping.members, grouping.figures, (f"{what} on {profile}: {advice}",))
    return grouping


def _group(consensus: Consensus, by_batch: Mapping[str, Consensus], *, calls: pl.DataFrame, seed: int) -> Grouping:
    annotated = calls.filter(pl.col("mechanism_source").cast(pl.String) == "annotated")
    mechanisms = dict(annotated.select("perturbation", "mechanism").iter_rows())
    clusters = cluster_treatments(consensus, seed=seed)
    members = _described(clusters.members, calls, mechanisms)
    figures = agreement_figures(clusters, consensus, by_batch=by_batch, mechanisms=mechanisms, seed=seed)
    notes = () if clusters.reason is None else (f"nothing is clustered: {clusters.reason}",)
    table = _cluster_rows(members.clear() if clusters.reason else members, mechanisms)
    return Grouping(table, members, figures, notes)


def _only(consensus: Consensus, chosen: pl.DataFrame) -> Consensus:
    is_chosen = consensus.treatments["treatment"].is_in(chosen["treatment"].to_list())
    return Consensus(consensus.treatments.filter(is_chosen), consensus.profiles[is_chosen.to_numpy()])


def _by_batch(
    matrix: NDArray[np.float64], wells: pl.DataFrame, chosen: pl.DataFrame, *, operation: Operation
) -> dict[str, Consensus]:
    """Return the profiles of the chosen treatments from the wells of each batch alone."""
    parts = {}
    for batch in wells["batch"].unique().sort().to_list():
        here = wells["batch"] == batch
        profiles = consensus_profiles(matrix[here.to_numpy()], wells.filter(here), operation=operation)
        parts[batch] = _only(profiles, chosen)
    return parts


def _described(members: pl.DataFrame, calls: pl.DataFrame, mechanisms: Mapping[str, str]) -> pl.DataFrame:
    """Return the members beside their name, annotated mechanism and call; who is control and treatment comes once."""
    known = calls.sort("control_type").unique("treatment", keep="first", maintain_order=True)
    known = known.select("treatment", "control_type", "name", "call", "q_value", "effect")
    annotated = pl.col("perturbation").replace_strict(dict(mechanisms), default=None, return_dtype=pl.String)
    joined = members.join(known, on="treatment", how="left", maintain_order="left")
    return joined.with_columns(mechanism=annotated).select(
        "treatment", "perturbation", "control_type", "name", "mechanism", "call", "q_value", "effect", "cluster",
        "probability", "umap_x", "umap_y",
    )  # fmt: skip


def _cluster_rows(members: pl.DataFrame, mechanisms: Mapping[str, str]) -> pl.DataFrame:
    """Return a row a cluster and one of the noise, each cluster with its most enriched mechanism."""
    best = enriched_mechanisms(members, mechanisms=mechanisms).unique("cluster", keep="first", maintain_order=True)
    perturbation = pl.col("perturbation")
    rows = members.group_by("cluster").agg(
        size=pl.len().cast(pl.Int64),
        n_perturbations=perturbation.n_unique().cast(pl.Int64),
        members=pl.coalesce("name", "perturbation").unique().sort().str.join(BETWEEN_NAMES),
        share_annotated=perturbation.filter(pl.col("mechanism").is_not_null()).n_unique() / perturbation.n_unique(),
    )
    return (
        rows.join(best, on="cluster", how="left")
        .sort("cluster", nulls_last=True)
        .select(
            "cluster", "size", "n_perturbations", "members", "mechanism", "n_with_mechanism", "p_value", "q_value",
            "share_annotated",
        )
    )  # fmt: skip
