"""Whether profiles and clusters agree with the annotation, beside what they would by chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.mechanisms.clusters import Clusters
from hcs.mechanisms.consensus import Consensus
from hcs.statistics.agreement import adjusted_rand_index, cosine_silhouette, normalized_mutual_information
from hcs.statistics.not_same import Retrieval, label_set, not_same_compound, not_same_compound_or_batch, shares_a_label

N_SHUFFLES = 200
SCHEMA = {"figure": pl.String, "value": pl.Float64, "shuffled": pl.Float64, "n": pl.Int64, "reason": pl.String}

Mechanisms = Mapping[str, str]


@dataclass(frozen=True)
class _Measure:
    """A figure that depends on the annotation, or why it cannot be had."""

    name: str
    n: int
    """Rows that it rests on."""
    of: Callable[[Mechanisms], float] | None = None
    reason: str | None = None


def agreement_figures(
    clusters: Clusters,
    consensus: Consensus,
    *,
    by_batch: Mapping[str, Consensus],
    mechanisms: Mechanisms,
    seed: int,
    n_shuffles: int = N_SHUFFLES,
) -> pl.DataFrame:
    """Return the figures by which clusters and profiles are judged.

    Chance is the mean over shuffles of the annotations between the annotated perturbations: doses of one compound,
    which resemble each other in any case, keep a common annotation.

    Args:
        clusters: Of the treatments of `consensus`.
        consensus: The profiles that were clustered, sorted by treatment.
        by_batch: Batch -> profiles of the same treatments from the wells of this batch alone.
        mechanisms: Perturbation -> annotated mechanism; several labels are joined by `|`.
        seed: Of the shuffles.
        n_shuffles: How many.

    Returns:
        `figure, value, shuffled, n, reason`: `n` are the rows that a figure rests on; where `value` is null, `reason`
        says why.
    """
    known = {
        name: mechanisms[name] for name in consensus.treatments["perturbation"] if label_set(mechanisms.get(name, ""))
    }
    shuffles = _shuffled(known, seed=seed, n_shuffles=n_shuffles)
    measures = [
        *_of_clusters(clusters, consensus, known),
        _silhouette(consensus, known),
        *_of_retrieval(consensus, by_batch, known),
    ]
    return pl.concat([_counts(clusters), *(_figure(measure, known, shuffles) for measure in measures)])


def _counts(clusters: Clusters) -> pl.DataFrame:
    n, n_clusters = clusters.members.height, clusters.n_clusters
    noise = None if clusters.reason else clusters.members["cluster"].null_count()
    rows = [
        ("treatments", n, None, n, None),
        ("clusters", n_clusters, None, n, clusters.reason),
        ("noise", noise, None, n, clusters.reason),
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row", strict=False)


def _figure(measure: _Measure, known: Mechanisms, shuffles: Sequence[Mechanisms]) -> pl.DataFrame:
    value = measure.of(known) if measure.of else math.nan
    if measure.of is None or math.isnan(value):
        reason = measure.reason or "it is not defined for so few treatments"
        return pl.DataFrame([(measure.name, None, None, measure.n, reason)], schema=SCHEMA, orient="row")
    chance = math.fsum(measure.of(shuffled) for shuffled in shuffles) / len(shuffles) if shuffles else None
    return pl.DataFrame([(measure.name, value, chance, measure.n, None)], schema=SCHEMA, orient="row")


def _of_clusters(clusters: Clusters, consensus: Consensus, known: Mechanisms) -> list[_Measure]:
    """Return how the clusters agree with the annotation, over annotated treatments."""
    names = consensus.treatments["perturbation"]
    rows = _annotated(names, known)
    numbers, own = clusters.numbers[rows], names.gather(rows).to_list()
    functions = {
        "adjusted_rand_index": adjusted_rand_index,
        "normalized_mutual_information": normalized_mutual_information,
    }
    reason = clusters.reason or (None if len(rows) > 1 else _few_annotated(len(rows)))
    if reason:
        return [_Measure(name, len(rows), reason=reason) for name in functions]
    return [
        _Measure(name, len(rows), lambda given, of=function: of(numbers, _classes(own, given)))  # type: ignore[misc]
        for name, function in functions.items()
    ]


def _silhouette(consensus: Consensus, known: Mechanisms) -> _Measure:
    names = consensus.treatments["perturbation"]
    rows = _annotated(names, known)
    own, profiles = names.gather(rows).to_list(), consensus.profiles[rows]
    if len(set(_classes(own, known).tolist())) < 2:
        reason = _few_annotated(len(rows)) if len(rows) < 2 else "all annotated treatments have the same mechanism"
        return _Measure("cosine_silhouette", len(rows), reason=reason)
    return _Measure("cosine_silhouette", len(rows), lambda given: cosine_silhouette(profiles, _classes(own, given)))


def _of_retrieval(consensus: Consensus, by_batch: Mapping[str, Consensus], known: Mechanisms) -> list[_Measure]:
    names = consensus.treatments["perturbation"].to_list()
    same = not_same_compound(consensus.profiles, compounds=names, labels=_labels(names, known))
    first = _retrieved("not_same_compound", same, names, reason=_few_annotated(len(_annotated(names, known))))
    batches = [batch for batch, part in by_batch.items() for _ in range(part.treatments.height)]
    if len(set(batches)) < 2:
        reason = "all wells are of one batch, and neighbours are looked for in another"
        return [first, _Measure("not_same_compound_or_batch", 0, reason=reason)]
    rows = [name for part in by_batch.values() for name in part.treatments["perturbation"]]
    other = not_same_compound_or_batch(
        np.concatenate([part.profiles for part in by_batch.values()]),
        compounds=rows,
        labels=_labels(rows, known),
        batches=batches,
    )
    reason = "no annotated treatment has another annotated perturbation in another batch"
    return [first, _retrieved("not_same_compound_or_batch", other, rows, reason=reason)]


def _retrieved(name: str, retrieval: Retrieval, names: Sequence[str], *, reason: str) -> _Measure:
    n = retrieval.n_queries
    if not n:
        return _Measure(name, 0, reason=reason)
    return _Measure(
        name, n, lambda given: float(shares_a_label(retrieval.nearest, labels=_labels(names, given)).sum()) / n
    )


def _shuffled(known: Mechanisms, *, seed: int, n_shuffles: int) -> list[Mechanisms]:
    """Return the annotations dealt anew to the annotated perturbations, as often as asked."""
    rng, names = np.random.default_rng(seed), sorted(known)
    labels = [known[name] for name in names]
    return [
        {name: labels[row] for name, row in zip(names, rng.permutation(len(names)), strict=True)}
        for _ in range(n_shuffles)
    ]


def _annotated(names: Sequence[str] | pl.Series, known: Mechanisms) -> NDArray[np.intp]:
    return np.flatnonzero([name in known for name in names])


def _classes(names: Sequence[str], given: Mechanisms) -> NDArray[np.int64]:
    """Return a number a row: rows with the same set of labels have the same."""
    spelt = ["|".join(sorted(label_set(given[name]))) for name in names]
    return np.asarray(np.unique(np.asarray(spelt, dtype=np.str_), return_inverse=True)[1], dtype=np.int64)


def _labels(names: Sequence[str], given: Mechanisms) -> list[str]:
    return [given.get(name, "") for name in names]


def _few_annotated(n: int) -> str:
    if n > 1:
        return "all annotated treatments are of one perturbation, and neighbours are looked for among the others"
    return f"of these treatments {'one' if n else 'none'} has an annotated mechanism"
