"""Sphering on negative controls, with as much of a ridge as controls that were not fitted on ask for.

A map that gives its own controls unit covariance exactly blows up what few of them happened not to vary along. The
ridge is chosen as if controls were normally distributed: of every candidate, what likelihood do controls have that the
map was not fitted on? Labels are never looked at, so nothing that is later scored has a say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.batch_controls import fitted_sentence
from hcs.profiling.corrections.correction import Corrected, Design
from hcs.profiling.finite import refuse_missing
from hcs.profiling.sphere import Form, fit_sphering, sphere
from hcs.statistics.content import content_keys
from hcs.statistics.covariance import sample_covariance
from hcs.statistics.scales import centre_and_scale

N_FOLDS = 5
RIDGES = np.logspace(-3, 1, 17)
"""Candidates, in standard deviations of a feature; added to that of every direction."""
LEAST_CONTROLS = 2 * N_FOLDS


def sphering(
    values: NDArray[np.floating], design: Design, *, form: Form = "ZCA-cor", ridge: float | None = None
) -> Corrected:
    """Return profiles after a map under which fitted negative controls have about unit covariance.

    Args:
        values: (W, D), finite.
        design: Which negative controls may be looked at; batches are not.
        form: As of `fit_sphering`.
        ridge: Added to the standard deviation of every direction, after features were standardized for the `-cor`
            forms; None chooses by the likelihood of held-out controls.

    Returns:
        (W, D), in the dtype of the values.

    Raises:
        InputRejectedError: If there are too few controls to choose a ridge with, a feature does not vary among them,
            features depend on one another, or a value is NaN.
    """
    refuse_missing(values)
    rows = np.flatnonzero(design.is_fitted & design.is_negcon)
    if len(rows) < (LEAST_CONTROLS if ridge is None else 2):
        raise InputRejectedError(
            f"sphering needs {LEAST_CONTROLS} negative controls to fit on and to choose its ridge with, but there are "
            f"{len(rows)} that may be fitted on; name the negative controls, or take another correction"
        )
    rows = rows[np.argsort(content_keys(values[rows]), kind="stable")]
    controls = values[rows].astype(np.float64)
    chosen = chosen_ridge(controls, form=form) if ridge is None else ridge
    fitted = fit_sphering(controls, form=form, epsilon=chosen * np.sqrt(len(controls) - 1))
    how = f"chosen by the likelihood of held-out controls in {N_FOLDS} folds" if ridge is None else "as asked for"
    notes = [f"a ridge of {chosen:.3g} on standard deviations, {how}"]
    if fitted.rank < values.shape[1]:
        notes.append(
            f"{len(controls)} fitted controls fill {fitted.rank} of {values.shape[1]} directions; the others were "
            "divided as the last of these"
        )
    return Corrected(sphere(values, fitted), fitted_sentence(len(controls), design), len(controls), tuple(notes))


def chosen_ridge(controls: NDArray[np.float64], *, form: Form = "ZCA-cor") -> float:
    """Return the candidate under which controls that a map was not fitted on are most likely.

    Args:
        controls: (N, D), in an order of their content: every fifth one is held out in turn.
        form: `-cor` forms standardize first; for the others candidates are in units of the features' root mean
            variance.
    """
    unit = 1.0 if form.endswith("-cor") else float(np.sqrt(controls.var(axis=0).mean()))
    total = np.zeros(len(RIDGES))
    for fold in range(N_FOLDS):
        is_held_out = np.arange(len(controls)) % N_FOLDS == fold
        total += _log_likelihood(controls[~is_held_out], controls[is_held_out], form, RIDGES * unit)
    return unit * float(RIDGES[int(total.argmax())])


def _log_likelihood(
    fitted: NDArray[np.float64], held_out: NDArray[np.float64], form: Form, ridges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the log likelihood of the held-out rows under the map of each ridge, up to a constant, (R,)."""
    centre, scale = centre_and_scale(fitted, scaling="standardize")
    if not form.endswith("-cor"):
        scale = np.ones_like(scale)
    scale = np.where(scale > 0, scale, 1.0)
    z, other = (fitted - centre) / scale, (held_out - centre) / scale
    spectrum = sample_covariance(z, freedom=len(z) - 1)
    along = ((other @ spectrum.directions) ** 2).sum(axis=0)
    beside = max(float((other**2).sum() - along.sum()), 0.0)
    n_beside = z.shape[1] - len(spectrum.variances)
    found = np.empty(len(ridges))
    for number, ridge in enumerate(ridges):
        deviations = np.sqrt(spectrum.variances) + ridge
        last = deviations[-1]
        found[number] = -0.5 * ((along / deviations**2).sum() + beside / last**2)
        found[number] -= len(held_out) * (np.log(deviations).sum() + n_beside * np.log(last))
    return found
