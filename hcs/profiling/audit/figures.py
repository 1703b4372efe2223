"""What is measured of the profiles that one method leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from hcs.profiling.audit.wells import AuditWells
from hcs.profiling.corrections.leak import held_out_ratio
from hcs.statistics.agreement import adjusted_rand_index, cosine_silhouette
from hcs.statistics.batch_effect import BatchTest, batch_test
from hcs.statistics.mixing import Neighbourhoods, attraction, even_diversity, local_diversity, variance_between
from hcs.statistics.not_same import not_same_compound_or_batch
from hcs.statistics.replicability import means_by_label, replicability, replicate_distance
from hcs.statistics.similarity import unit_rows

MOST_CLUSTERED: Final = 2_000
"""Consensus profiles that are clustered: the distances of more would fill memory."""
_SAME_CONTENT: Final = 0.8
"""Plates whose perturbations overlap by this share (Jaccard) hold the same."""


@dataclass(frozen=True)
class Retrieval:
    """How well wells of one kind find each other in other batches."""

    by_label: NDArray[np.float64]
    """(L,), mean average precision of a label's wells, NaN where it has no replicate in another batch."""
    expected: float | None
    """What chance gives on average; None where no well has a replicate."""

    @property
    def mean(self) -> float | None:
        """Return the mean over labels, None where none has a replicate."""
        return number(np.nanmean(self.by_label)) if np.isfinite(self.by_label).any() else None


@dataclass(frozen=True)
class BatchFigures:
    """How well batches are mixed."""

    diversity: float | None
    """Mean LISI: 1 where neighbours are of one batch."""
    even_diversity: float | None
    """What it were if every neighbourhood were a fair sample."""
    silhouette: float | None
    """Of batches, by cosine: above 0 they are apart."""
    variance_share: float | None
    """Of the variance, what batches explain (principal-component regression)."""


@dataclass(frozen=True)
class BiologyFigures:
    """What is left of biology."""

    distance: float | None
    """Cohen's d of a perturbation's wells in other batches against other perturbations' in the same."""
    rand_index: float | None
    """Of clusters of consensus profiles with perturbations."""
    not_same_batch: float | None
    """NSCB: nearest profile of another perturbation in another batch shares a mechanism."""
    position_matched: float | None
    """How well negative controls find those of the same position in other batches."""
    position_matched_expected: float | None
    """What chance gives."""


def number(value: float | np.floating | None) -> float | None:
    """Return a finite number as it is, and None for anything else."""
    return float(value) if value is not None and np.isfinite(value) else None


def retrieval(values: NDArray[np.floating], wells: AuditWells, *, rows: NDArray[np.intp]) -> Retrieval:
    """Return how well perturbations find themselves in other batches and, where positions are known, other positions.

    Where no perturbation has replicates in other positions, those in the same count.

    Args:
        values: (W, D), finite.
        wells: What is known of them.
        rows: The wells that take part.
    """
    labels = wells.design.perturbations[rows]
    found = replicability(
        values[rows],
        labels=labels,
        batches=wells.design.batches[rows],
        positions=wells.positions[rows] if wells.positions is not None and has_other_positions(wells) else None,
    )
    by_label = means_by_label(found.precision, labels, n_labels=len(wells.perturbations))
    return Retrieval(by_label, number(np.nanmean(found.expected)) if np.isfinite(found.expected).any() else None)


def has_other_positions(wells: AuditWells) -> bool:
    """Return whether a treated perturbation has wells in two batches that stand in different positions."""
    if wells.positions is None:
        return False
    treated = wells.is_treated
    labels, batches = wells.design.perturbations[treated], wells.design.batches[treated]
    positions = wells.positions[treated]
    found = np.unique(np.stack([labels, batches, positions]), axis=1)
    n_positions = np.bincount(np.unique(found[[0, 2]], axis=1)[0])
    n_batches = np.bincount(np.unique(found[:2], axis=1)[0])
    return bool(((n_positions > 1) & (n_batches > 1)).any())


def position_matched(values: NDArray[np.floating], wells: AuditWells) -> Retrieval | None:
    """Return how well negative controls find controls of the same position in other batches; None without positions.

    They hold the same everywhere, so what they find above chance is position and not biology.
    """
    controls = np.flatnonzero(wells.design.is_negcon)
    if wells.positions is None or len(controls) < 2:
        return None
    _, labels = np.unique(wells.positions[controls], return_inverse=True)
    found = replicability(values[controls], labels=labels, batches=wells.design.batches[controls])
    by_label = means_by_label(found.precision, labels, n_labels=int(labels.max()) + 1)
    if not np.isfinite(by_label).any():
        return None
    return Retrieval(by_label, number(np.nanmean(found.expected)))


def batch_figures(
    values: NDArray[np.floating], near: Neighbourhoods, wells: AuditWells, *, rows: NDArray[np.intp]
) -> BatchFigures:
    """Return how well the batches of these wells are mixed, `near` being their neighbourhoods."""
    batches = wells.design.batches[rows]
    return BatchFigures(
        diversity=number(local_diversity(near, batches).mean()),
        even_diversity=number(even_diversity(batches)),
        silhouette=number(cosine_silhouette(np.asarray(values[rows], dtype=np.float64), batches)),
        variance_share=number(variance_between(values[rows], batches)),
    )


def biology_figures(values: NDArray[np.floating], wells: AuditWells, *, rows: NDArray[np.intp]) -> BiologyFigures:
    """Return what is left of biology in these wells, and how much of it position may be."""
    labels, batches = wells.design.perturbations[rows], wells.design.batches[rows]
    consensus, of_label, of_batch = consensus_by_batch(values[rows], labels, batches)
    matched = position_matched(values, wells)
    return BiologyFigures(
        distance=number(replicate_distance(values[rows], labels=labels, batches=batches)),
        rand_index=number(_rand_index(consensus, of_label)),
        not_same_batch=_not_same_batch(consensus, of_label, of_batch, wells),
        position_matched=matched.mean if matched else None,
        position_matched_expected=matched.expected if matched else None,
    )


def consensus_by_batch(
    values: NDArray[np.floating], labels: NDArray[np.intp], batches: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Return the mean profile of every perturbation in every batch, its perturbation and its batch, (N,) each."""
    pairs, member_of, counts = np.unique(np.stack([labels, batches]), axis=1, return_inverse=True, return_counts=True)
    sums = np.zeros((pairs.shape[1], values.shape[1]))
    np.add.at(sums, member_of.ravel(), values)
    return sums / counts[:, None], pairs[0], pairs[1]


def _rand_index(consensus: NDArray[np.float64], labels: NDArray[np.intp]) -> float | None:
    """Return how well clusters of consensus profiles agree with perturbations (average linkage, as many clusters)."""
    _, counts = np.unique(labels, return_counts=True)
    if len(counts) < 2 or counts.max() < 2:
        return None
    units, lengths = unit_rows(consensus)
    chosen = np.flatnonzero((lengths > 0) & (labels <= np.sort(labels)[min(len(labels), MOST_CLUSTERED) - 1]))
    if len(chosen) < 2:
        return None
    tree = linkage(pdist(units[chosen], "cosine"), method="average")
    clusters = fcluster(tree, len(np.unique(labels[chosen])), criterion="maxclust")
    return adjusted_rand_index(clusters.astype(np.intp), labels[chosen])


def _not_same_batch(
    consensus: NDArray[np.float64], labels: NDArray[np.intp], batches: NDArray[np.intp], wells: AuditWells
) -> float | None:
    if wells.mechanisms is None:
        return None
    by_label = dict(zip(wells.design.perturbations.tolist(), wells.mechanisms, strict=True))
    return not_same_compound_or_batch(
        consensus,
        compounds=[wells.perturbations[label] for label in labels],
        labels=[by_label[int(label)] for label in labels],
        batches=[wells.batches[batch] for batch in batches],
    ).accuracy


def batch_effect(near: Neighbourhoods, wells: AuditWells, *, rows: NDArray[np.intp]) -> BatchTest:
    """Return whether plates of a batch are closer to each other than to plates of other batches with the same content.

    Args:
        near: Neighbourhoods of the wells.
        wells: What is known of them.
        rows: The wells, all of them with a perturbation.
    """
    names, plates = np.unique(wells.design.plates[rows], return_inverse=True)
    labels = wells.design.perturbations[rows]
    shares = attraction(near, plates)
    closeness = np.stack([shares[plates == plate].mean(axis=0) for plate in range(len(names))])
    first = np.unique(plates, return_index=True)[1]
    content = [frozenset(labels[plates == plate].tolist()) for plate in range(len(names))]
    return batch_test(closeness, wells.design.batches[rows][first], _strata(content))


def _strata(content: list[frozenset[int]]) -> NDArray[np.intp]:
    """Return the same number for plates that hold the same, but for a few wells."""
    seen: list[frozenset[int]] = []
    strata = []
    for held in content:
        alike = [place for place, other in enumerate(seen) if len(held & other) >= _SAME_CONTENT * len(held | other)]
        if not alike:
            seen.append(held)
        strata.append(alike[0] if alike else len(seen) - 1)
    return np.array(strata, dtype=np.intp)


def control_ratio(values: NDArray[np.floating], wells: AuditWells) -> float | None:
    """Return the length of held-out negative controls over that of fitted ones; None where either are missing."""
    design = wells.design
    if not design.held_out.any() or not (design.is_negcon & design.is_fitted).any():
        return None
    return number(held_out_ratio(values, design))
