"""Recipes: steps from raw profiles of wells to corrected ones, in the one order in which steps are taken.

The presets are those by which the public profiles of JUMP (cpg0016) were made, as their names in the gallery spell it:
`var_mad_int_featselect_harmony` for compounds and `wellpos_cc_var_mad_outlier_featselect_sphering_harmony` for ORF and
CRISPR. The steps are ours, and differ where theirs would take biology with it:

- `wellpos` refuses a fixed layout, and corrects only where a test finds an effect; theirs subtracts always.
- `cell-count` is fitted on negative controls and cut to their range; theirs is fitted on all wells.
- `mad` divides by 1.4826 MAD; theirs by the MAD. The factor is the same for all features.
- `int` gives ties their mean rank; theirs deals them at random.
- `sphering` chooses its ridge by the likelihood of held-out controls; theirs by the retrieval that is later reported.
- CRISPR profiles of JUMP are further corrected for chromosome arms, with PCA; that needs the expression of genes, and
  is not done here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError
from hcs.profiling.corrections.correction import Design
from hcs.profiling.corrections.registry import CORRECTIONS
from hcs.profiling.groups import group_rows
from hcs.profiling.scaling import normalize_groups
from hcs.profiling.select import Step, select_features
from hcs.statistics.blom import blom_scores
from hcs.statistics.ordered import median_deviation, sort_columns

ORDER = (
    "wellpos",
    "cell-count",
    "variant-features",
    "mad",
    "int",
    "outliers",
    "median-polish",
    "b-score",
    "loess",
    "featselect",
    "sphering",
    "tvn",
    "coral",
    "combat",
    "harmony",
)
"""The order of steps. Position and cell count act on what was measured and come first, or, on one plate, once features
have one unit; features are chosen on normalized values; what mixes features comes last."""

PRESETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "jump-compound": ("variant-features", "mad", "int", "featselect", "harmony"),
        "jump-orf": (
            "wellpos",
            "cell-count",
            "variant-features",
            "mad",
            "outliers",
            "featselect",
            "sphering",
            "harmony",
        ),
        "jump-crispr": (
            "wellpos",
            "cell-count",
            "variant-features",
            "mad",
            "outliers",
            "featselect",
            "sphering",
            "harmony",
        ),
    }
)

WITHOUT_ARM = "profiles of CRISPR are not corrected for chromosome arms here, as those of JUMP are"
LEAST_VARIATION = 1e-3
"""A feature is left out if its MAD among a plate's controls is at most this share of their median."""
LARGEST = 100.0
"""Values are cut to this, and features left out of which more than a hundredth of the values are beyond it."""
_SELECTED: tuple[Step, ...] = ("variance", "correlation", "blocklist", "drop_na")


@dataclass(frozen=True)
class Made:
    """Profiles in the making."""

    values: NDArray[np.floating]
    """(W, D)."""
    features: tuple[str, ...]
    """(D,)."""
    told: tuple[str, ...] = ()
    """What each step did, as sentences."""

    def then(self, values: NDArray[np.floating], step: str, *said: str) -> Made:
        """Return the profiles after a step."""
        names = self.features
        if values.shape[1] != len(names):
            names = tuple(f"Component{place}" for place in range(1, values.shape[1] + 1))
        return Made(values, names, (*self.told, *(f"{step}: {sentence}" for sentence in said)))

    def keeping(self, kept: NDArray[np.bool_], step: str, reason: str) -> Made:
        """Return the profiles without the features that a step leaves out."""
        n_gone = int((~kept).sum())
        if not kept.any():
            raise InputRejectedError(f"the step {step} leaves no feature of {len(kept)}: {reason}")
        names = tuple(name for name, is_kept in zip(self.features, kept, strict=True) if is_kept)
        said = f"{step}: {n_gone} of {len(kept)} features left out{f', {reason}' if n_gone else ''}"
        return Made(self.values[:, kept] if n_gone else self.values, names, (*self.told, said))


def steps_of(recipe: str) -> tuple[str, ...]:
    """Return the steps of a preset, or of a list with commas.

    Raises:
        UsageError: If a step is not known, comes twice or out of order.
    """
    if recipe in PRESETS:
        return PRESETS[recipe]
    steps = tuple(step.strip() for step in recipe.split(",") if step.strip())
    unknown = [step for step in steps if step not in ORDER]
    if unknown or not steps:
        raise UsageError(
            f"a recipe is one of {', '.join(PRESETS)}, or steps with commas between of {', '.join(ORDER)}, but "
            f"{(unknown or [recipe])[0]!r} came"
        )
    in_order = tuple(step for step in ORDER if step in steps)
    if steps != in_order:
        raise UsageError(
            f"steps are taken in one order, once each: expected {','.join(in_order)}, but {','.join(steps)} came"
        )
    return steps


def follow_recipe(
    values: NDArray[np.floating], features: Sequence[str], design: Design, *, steps: Sequence[str]
) -> Made:
    """Return the profiles after these steps, and what each did.

    Args:
        values: (W, D), of wells, raw where a recipe normalizes.
        features: (D,).
        design: Of the wells; negative controls are needed by every step that is fitted on them.
        steps: As `steps_of` gives them.

    Raises:
        InputRejectedError: If a step cannot be done, with its reason, or no feature is left.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        is_finite = np.isfinite(values.sum(axis=0, dtype=np.float64))
    made = Made(values, tuple(features))
    if not is_finite.all():
        made = made.keeping(is_finite, "complete features", "which are missing or infinite in a well")
    for step in steps:
        made = _STEPS[step](made, design) if step in _STEPS else _correct(made, design, step)
    return made


def _correct(made: Made, design: Design, name: str) -> Made:
    corrected = CORRECTIONS[name](made.values, design)
    return made.then(corrected.values, name, f"fitted on {corrected.fitted_on}", *corrected.notes)


def _variant_features(made: Made, design: Design) -> Made:
    kept = np.ones(len(made.features), dtype=np.bool_)
    controls = _fitted_controls(design, "variant-features")
    for plate in np.unique(design.plates):
        columns = sort_columns(made.values[controls & (design.plates == plate)])
        middle = columns.median
        deviation = median_deviation(columns, middle)
        kept &= (deviation > 0) & (deviation > LEAST_VARIATION * np.abs(middle))
    return made.keeping(kept, "variant-features", "which hardly vary among the controls of a plate")


def _mad(made: Made, design: Design) -> Made:
    controls = _fitted_controls(design, "mad")
    groups = group_rows(pl.DataFrame({"plate": design.plates}), ["plate"])
    scaled = normalize_groups(made.values, groups, method="mad_robustize", is_fitted=controls, degenerate="drop")
    kept = made.keeping(scaled.kept, "mad", "which hardly vary among the controls of a plate")
    fewest, most = scaled.n_fitted.min(), scaled.n_fitted.max()
    return Made(scaled.values, kept.features, kept.told).then(
        scaled.values, "mad", f"{len(groups)} plates, each fitted on {fewest} to {most} negative controls"
    )


def _int(made: Made, design: Design) -> Made:
    return made.then(blom_scores(made.values), "int", f"normal scores of the ranks over all {len(made.values):,} wells")


def _outliers(made: Made, design: Design) -> Made:
    share = (np.abs(made.values) > LARGEST).mean(axis=0)
    left = made.keeping(share <= 0.01, "outliers", f"beyond {LARGEST:g} in more than a hundredth of the wells")
    n_cut = int((np.abs(left.values) > LARGEST).sum())
    return left.then(np.clip(left.values, -LARGEST, LARGEST), "outliers", f"{n_cut} values cut to {LARGEST:g}")


def _featselect(made: Made, design: Design) -> Made:
    chosen = select_features(made.values, made.features, steps=_SELECTED)
    return made.keeping(chosen.kept, "featselect", "by variance, correlation and blocklist")


def _fitted_controls(design: Design, step: str) -> NDArray[np.bool_]:
    controls = design.is_negcon & design.is_fitted
    lacking = np.setdiff1d(design.plates, design.plates[controls])
    if len(lacking):
        raise InputRejectedError(
            f"the step {step} needs negative controls on every plate, but {len(lacking)} of "
            f"{len(np.unique(design.plates))} plates have none that may be fitted on; name them with --controls, "
            "or leave these plates out"
        )
    return np.asarray(controls)


_STEPS: Mapping[str, Callable[[Made, Design], Made]] = {
    "variant-features": _variant_features,
    "mad": _mad,
    "int": _int,
    "outliers": _outliers,
    "featselect": _featselect,
}
