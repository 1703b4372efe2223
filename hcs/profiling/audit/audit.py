"""The audit of corrections: what each does to batches and to biology, and which one the rule picks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.audit.confounding import Confounding, LayoutSharing, confoundings, layout_sharing
from hcs.profiling.audit.figures import (
    BatchFigures,
    BiologyFigures,
    Retrieval,
    batch_effect,
    batch_figures,
    biology_figures,
    control_ratio,
    has_other_positions,
    retrieval,
)
from hcs.profiling.audit.planes import Plane, principal_plane
from hcs.profiling.audit.rule import BASELINE, Choice, Evidence, choose, is_testable
from hcs.profiling.audit.wells import AuditWells, perturbation_order
from hcs.profiling.corrections.correction import Corrected, Correction
from hcs.statistics.batch_effect import BatchTest
from hcs.statistics.bootstrap import bootstrap_interval
from hcs.statistics.intervals import MeanInterval
from hcs.statistics.mixing import neighbourhoods

BY_SIMPLICITY: Final = ("none", "combat", "sphering", "coral", "tvn", "harmony")
"""Corrections for batch from simple to intricate: what the audit compares unless others are named."""
MOST_WELLS: Final = 20_000
"""Treated wells that figures are made of; of more, perturbations are chosen by a hash of their names."""
EXTREME: Final = 500.0
"""Beyond it a feature is an outlier, as `hcs profiles select` and pycytominer have it."""


@dataclass(frozen=True)
class MethodAudit:
    """What one method did."""

    method: str
    refused: str | None = None
    """Why it cannot be applied; everything below is then empty."""
    fitted_on: str = ""
    n_fitted: int = 0
    notes: tuple[str, ...] = ()
    retrieval: Retrieval | None = None
    """Of all perturbations, those chosen on and those reported on."""
    chosen_on: float | None = None
    """Mean over the perturbations that the rule looked at."""
    reported: MeanInterval | None = None
    """Over the other half, with a bootstrap interval over perturbations."""
    gain: MeanInterval | None = None
    """Over the same half: the paired difference to `none`."""
    mixing: BatchFigures | None = None
    biology: BiologyFigures | None = None
    control_ratio: float | None = None
    plane: Plane | None = None


@dataclass(frozen=True)
class Audit:
    """What an audit found."""

    choice: Choice
    methods: tuple[MethodAudit, ...]
    """In the order of simplicity, `none` first."""
    confounding: tuple[Confounding, ...]
    """Of batch, plate and further factors with the perturbation."""
    layout: LayoutSharing | None
    batch_test: BatchTest | None
    """None where batch and perturbation are confounded or there is one batch."""
    n_wells: int
    n_batches: int
    n_chosen_on: int
    """Perturbations with replicates in two batches that the rule looked at."""
    n_reported: int
    seed: int
    notes: tuple[str, ...] = field(default=())

    @property
    def is_confounded(self) -> bool:
        """Whether batch and perturbation are confounded."""
        return self.confounding[0].is_confounded


def audit_profiles(
    values: NDArray[np.floating],
    wells: AuditWells,
    *,
    corrections: Mapping[str, Correction],
    seed: int = 0,
    with_figures: bool = True,
    most_wells: int = MOST_WELLS,
) -> Audit:
    """Return what each correction does to these profiles, and which one the rule picks.

    The rule looks at one half of the perturbations, by a hash of their names; figures of the other half are what is
    reported, so that they do not flatter the method that was picked. Corrections never see which half a well is in.

    Args:
        values: (W, D), finite, normalized.
        wells: What is known of the wells.
        corrections: By their names, from simple to intricate; `none` is added where it is missing.
        seed: Of the halves and the draws of intervals.
        with_figures: Whether figures of mixing and biology and the planes are made; the choice needs none of them.
        most_wells: Treated wells that figures are made of.

    Raises:
        InputRejectedError: If a value is not finite, or no well has a perturbation.
    """
    _check(values, wells)
    methods = {BASELINE: corrections.get(BASELINE, _uncorrected), **corrections}
    halves = _halves(wells, seed=seed, most_wells=most_wells)
    confounded = confoundings(wells)
    is_single = len(np.unique(wells.design.batches[halves.rows])) < 2
    made, test = [], None
    for name, correct in methods.items():
        if is_single and name != BASELINE:
            continue
        one, near_test = _audit_one(name, correct, values, wells, halves, with_figures=with_figures)
        made.append(one)
        if name == BASELINE and not is_single and not confounded[0].is_confounded:
            test = near_test
    return _judged(made, wells, halves, confounded, test, seed=seed, notes=_extreme(values))


@dataclass(frozen=True)
class _Halves:
    """Which wells are looked at, and which perturbations are chosen on."""

    rows: NDArray[np.intp]
    """Treated wells that figures are made of."""
    choosing: NDArray[np.intp]
    reporting: NDArray[np.intp]
    """Perturbations."""
    notes: tuple[str, ...]


def _halves(wells: AuditWells, *, seed: int, most_wells: int) -> _Halves:
    treated = np.flatnonzero(wells.is_treated)
    numbers = wells.design.perturbations[treated]
    sizes = np.bincount(numbers, minlength=len(wells.perturbations))
    order = perturbation_order(wells.perturbations, seed=seed)
    order = order[sizes[order] > 0]
    notes: tuple[str, ...] = ()
    if len(treated) > most_wells:
        order = order[: max(2, int((np.cumsum(sizes[order]) <= most_wells).sum()))]
        treated = treated[np.isin(numbers, order)]
        notes = (
            f"figures are made of {len(order)} of {int((sizes > 0).sum())} perturbations, {len(treated):,} wells, "
            "chosen by a hash of their names; corrections were fitted on all wells as they are",
        )
    return _Halves(treated, order[: len(order) // 2], order[len(order) // 2 :], notes)


def _audit_one(
    name: str,
    correct: Correction,
    values: NDArray[np.floating],
    wells: AuditWells,
    halves: _Halves,
    *,
    with_figures: bool,
) -> tuple[MethodAudit, BatchTest | None]:
    """Return the figures of one method, and for `none` the test for a batch effect."""
    try:
        corrected = correct(values, wells.design)
    except InputRejectedError as error:
        return MethodAudit(name, refused=str(error)), None
    found = retrieval(corrected.values, wells, rows=halves.rows)
    test = mixing = biology = plane = None
    if with_figures or name == BASELINE:
        near = neighbourhoods(corrected.values[halves.rows])
        test = batch_effect(near, wells, rows=halves.rows) if name == BASELINE else None
    if with_figures:
        mixing = batch_figures(corrected.values, near, wells, rows=halves.rows)
        biology = biology_figures(corrected.values, wells, rows=halves.rows)
        plane = principal_plane(corrected.values, wells, rows=halves.rows)
    one = MethodAudit(
        name,
        fitted_on=corrected.fitted_on,
        n_fitted=corrected.n_fitted,
        notes=corrected.notes,
        retrieval=found,
        mixing=mixing,
        biology=biology,
        control_ratio=control_ratio(corrected.values, wells),
        plane=plane,
    )
    return one, test


def _judged(
    made: Sequence[MethodAudit],
    wells: AuditWells,
    halves: _Halves,
    confounded: tuple[Confounding, ...],
    test: BatchTest | None,
    *,
    seed: int,
    notes: tuple[str, ...],
) -> Audit:
    """Return the audit: the choice of the rule on one half of the perturbations, and the figures of the other."""
    by_label = {one.method: one.retrieval.by_label for one in made if one.retrieval is not None}
    choice = choose(
        Evidence(
            retrieval={name: found[halves.choosing] for name, found in by_label.items()},
            is_confounded=confounded[0].is_confounded,
            batch_test=test,
        )
    )
    base = by_label[BASELINE]
    told = [half[np.isfinite(base[half])] for half in (halves.choosing, halves.reporting)]
    return Audit(
        choice=choice,
        methods=tuple(_with_halves(one, base, *told, seed=seed) for one in made),
        confounding=confounded,
        layout=layout_sharing(wells),
        batch_test=test,
        n_wells=len(wells.design.plates),
        n_batches=len(wells.batches),
        n_chosen_on=len(told[0]),
        n_reported=len(told[1]),
        seed=seed,
        notes=(*halves.notes, *notes, *_notes(wells, test)),
    )


def _with_halves(
    one: MethodAudit, base: NDArray[np.float64], choosing: NDArray[np.intp], reporting: NDArray[np.intp], *, seed: int
) -> MethodAudit:
    if one.retrieval is None:
        return one
    found = one.retrieval.by_label
    chosen_on = float(found[choosing].mean()) if len(choosing) else None
    if not len(reporting):
        return replace(one, chosen_on=chosen_on)
    return replace(
        one,
        chosen_on=chosen_on,
        reported=bootstrap_interval(found[reporting], np.random.default_rng(seed)),
        gain=bootstrap_interval((found - base)[reporting], np.random.default_rng(seed)),
    )


def _extreme(values: NDArray[np.floating]) -> tuple[str, ...]:
    """Return a note if features hold values that no normalized profile should."""
    n_extreme = int((np.abs(values).max(axis=0) > EXTREME).sum())
    if not n_extreme:
        return ()
    return (
        f"{n_extreme} of {values.shape[1]} features hold values beyond {EXTREME:g}, and a few such wells decide what "
        "is fitted on means and variances; `hcs profiles select --operation drop_outliers` takes these features out",
    )


def _notes(wells: AuditWells, test: BatchTest | None) -> tuple[str, ...]:
    said = []
    if wells.positions is None:
        said.append("wells have no position, so replicates may stand in the same one; name the column with --well")
    elif not has_other_positions(wells):
        said.append(
            "no perturbation has replicates in different positions of two batches, so those in the same count: what a "
            "position does passes for biology"
        )
    if test is not None and not is_testable(test):
        said.append(
            f"whether batches differ more than plates do cannot be tested: with these plates the smallest possible p "
            f"is {test.smallest_possible_p:.2g}, so the retrieval alone decides"
        )
    return tuple(said)


def _check(values: NDArray[np.floating], wells: AuditWells) -> None:
    if not np.isfinite(values).all():
        row, feature = np.argwhere(~np.isfinite(values))[0]
        raise InputRejectedError(
            f"the audit needs finite profiles, but row {row}, feature {feature} (from 0) is {values[row, feature]}; "
            "take such features out with `hcs profiles select` first"
        )
    if not wells.is_treated.any():
        raise InputRejectedError(
            f"the audit looks for replicates of perturbations, but none of {len(values)} wells has a perturbation and "
            "is no negative control"
        )


def _uncorrected(values: NDArray[np.floating], design: object) -> Corrected:
    return Corrected(values, fitted_on="nothing", n_fitted=0)
