"""Mechanisms, clusters and their figures, in words and as tables."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from dashboards.words import counted, number, plain, shortened
from schemas.api import Mechanism
from schemas.api_results import ClusterFigure, ClusterRow, MapPoint

NOISE = "none"
"""What is called the cluster of what lies in no cluster."""

CALLS = {
    "active": "active",
    "inactive": "inactive",
    "underpowered": "too few wells to tell",
    "not_callable": "cannot be called",
}
_RETRIEVED = {
    "not_same_compound": "The nearest other compound shares the mechanism for {value} of {n}",
    "not_same_compound_or_batch": "The nearest other compound of another batch shares it for {value} of {n}",
}
_SCALED = {
    "adjusted_rand_index": "Clusters and annotation agree with an adjusted Rand index of {value} (1 at best)",
    "normalized_mutual_information": "Clusters and annotation share {value} of their information (1 at best)",
    "cosine_silhouette": "A treatment is nearer to its own mechanism than to the next by a silhouette of {value} "
    "(-1 to 1)",
}
_NAMES = {
    "treatments": "Treatments",
    "clusters": "Clusters",
    "noise": "In no cluster",
    "adjusted_rand_index": "Adjusted Rand index",
    "normalized_mutual_information": "Normalized mutual information",
    "cosine_silhouette": "Cosine silhouette",
    "not_same_compound": "Not same compound (NSC)",
    "not_same_compound_or_batch": "Not same compound or batch (NSCB)",
}


def found_among_hits(mechanisms: Sequence[Mechanism]) -> str:
    """Return which mechanisms are among the hits, in a sentence of Markdown."""
    if not mechanisms:
        return "No mechanism is known of any treatment: `annotations` of a SCREEN.yaml says which there are."
    found = sorted((one for one in mechanisms if one.hits), key=_most_hits_first)
    if not found:
        return f"None of {counted(len(mechanisms), 'mechanism')} is among the hits."
    leading = ", ".join(f"{plain(shortened(one.label))} ({one.hits} of {one.treatments})" for one in found[:3])
    are = "is" if len(found) == 1 else "are"
    return f"{len(found)} of {counted(len(mechanisms), 'mechanism')} {are} among the hits; first {leading}."


def mechanism_rows(mechanisms: Sequence[Mechanism]) -> pl.DataFrame:
    """Return a row a mechanism, those with most hits first."""
    rows = [
        {"label": one.label, "hits": one.hits, "treatments": one.treatments, "share": 100 * one.hits / one.treatments}
        for one in sorted(mechanisms, key=_most_hits_first)
    ]
    return pl.DataFrame(rows)


def cluster_name(cluster: int | None) -> str:
    """Return what a cluster is called in lists and in the address."""
    return NOISE if cluster is None else str(cluster)


def cluster_rows(clusters: Sequence[ClusterRow]) -> pl.DataFrame:
    """Return a row a cluster, in their order; members as one text."""
    rows = [
        {
            "cluster": cluster_name(one.cluster),
            "size": one.size,
            "mechanism": one.mechanism or "",
            "carriers": None if one.n_with_mechanism is None else f"{one.n_with_mechanism} of {one.n_perturbations}",
            "q": one.q_value,
            "share_annotated": None if one.share_annotated is None else 100 * one.share_annotated,
            "members": "; ".join(one.members),
        }
        for one in clusters
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def clusters_said(clusters: Sequence[ClusterRow], *, q_max: float = 0.05) -> str:
    """Return how many clusters there are and what they stand for, in a sentence of Markdown."""
    found = [one for one in clusters if one.cluster is not None]
    left = sum(one.size for one in clusters if one.cluster is None)
    if not found:
        return "No cluster was found."
    named = [one for one in found if one.mechanism and one.q_value is not None and one.q_value <= q_max]
    enriched = "; ".join(
        f"cluster {one.cluster} in {plain(shortened(one.mechanism))} (q {number(one.q_value, digits=2)})"
        for one in named[:3]
    )
    stands = f"Enriched at q {q_max:g}: {enriched}." if named else f"None is enriched in a mechanism at q {q_max:g}."
    noise = f", and {counted(left, 'treatment')} in none" if left else ""
    return f"{counted(len(found), 'cluster')}{noise}. {stands}"


def treatment_rows(points: Sequence[MapPoint]) -> pl.DataFrame:
    """Return a row a treatment of a map."""
    rows = [
        {
            "name": point.name or point.perturbation,
            "mechanism": point.mechanism or "",
            "cluster": cluster_name(point.cluster),
            "call": CALLS[point.call],
            "q": point.q_value,
            "effect": point.effect,
            "count": point.cell_count_ratio,
            "batches": "; ".join(point.batches),
            "plates": "; ".join(point.plates),
            "treatment": point.treatment,
        }
        for point in points
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def figures_said(figures: Sequence[ClusterFigure]) -> list[str]:
    """Return every figure that chance is held against, each in a sentence of Markdown; counts say themselves."""
    return [figure_said(one) for one in figures if one.figure in _RETRIEVED or one.figure in _SCALED]


def figure_said(figure: ClusterFigure) -> str:
    """Return one figure beside what chance gives, in a sentence of Markdown."""
    if figure.value is None:
        return f"{_NAMES[figure.figure]}: not known, since {plain(figure.reason or 'there are too few treatments')}."
    if figure.figure in _RETRIEVED:
        told, chance = f"{figure.value:.0%}", f"{figure.shuffled or 0:.0%}"
        said = _RETRIEVED[figure.figure].format(value=told, n=counted(figure.n, "annotated profile"))
    else:
        told, chance = number(figure.value, digits=2), number(figure.shuffled, digits=2)
        said = _SCALED[figure.figure].format(value=told)
    return f"{plain(said)}; shuffled annotations give {plain(chance)}."


def figure_rows(figures: Sequence[ClusterFigure]) -> pl.DataFrame:
    """Return a row a figure, as the API tells them."""
    rows = [{**one.model_dump(), "figure": _NAMES.get(one.figure, one.figure)} for one in figures]
    return pl.DataFrame(rows, infer_schema_length=None)


def _most_hits_first(mechanism: Mechanism) -> tuple[int, int, str]:
    return -mechanism.hits, -mechanism.treatments, mechanism.label
