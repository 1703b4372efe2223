"""Location and scale that a few aberrant wells cannot move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.statistics.ordered import median_deviation, sort_columns

MAD_TO_SD = 1.4826
"""Makes the median absolute deviation of a normal sample estimate its standard deviation."""


def median_and_mad(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the median and the scaled median absolute deviation of every feature.

    The result is the same bits for any order of the rows. A feature that is constant in more than half of the rows
    has scale 0, which is returned as it is: what to divide by instead is the caller's decision.

    Args:
        values: (N, D), finite, at least one row. Narrower floats and integers are computed in float64.

    Returns:
        The median, (D,) float64, and the scale 1.4826 MAD, (D,) float64, in the units of `values`.

    Raises:
        InputRejectedError: If there is no row, or a value is NaN or infinite.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[0] == 0:
        raise InputRejectedError(
            f"a median needs a matrix with at least one row, one column a feature, but the shape is {rows.shape}"
        )
    if not np.isfinite(rows).all():
        row, feature = np.argwhere(~np.isfinite(rows))[0]
        raise InputRejectedError(
            f"every value must be finite, but row {row}, feature {feature} is {rows[row, feature]}; leave out the "
            "wells or features without a measurement first"
        )
    columns = sort_columns(rows)
    # Adding 0.0 turns -0.0 into 0.0: the two compare equal, so which one stands in the middle depends on the order.
    median = columns.median + 0.0
    return median, MAD_TO_SD * median_deviation(columns, median)


def spatial_median(vectors: NDArray[np.float64], *, steps: int = 8) -> NDArray[np.float64]:
    """Return the point from which the directions of vectors (N, D) add up to about nothing: (D,).

    Found from the mean by steps like those of Weiszfeld (1937, Tohoku Mathematical Journal 43:355); a vector nearer
    than a tenth of the median distance pulls in proportion.

    Args:
        vectors: (N, D), N at least one.
        steps: With many features each leaves about one Dth of the distance.
    """
    middle = vectors.mean(axis=0)
    for _ in range(steps):
        away = vectors - middle
        lengths = np.sqrt(np.einsum("nd,nd->n", away, away))
        usual = float(np.median(lengths))
        if usual == 0:
            break
        middle = middle + (usual / np.maximum(lengths, usual / 10)) @ away / len(vectors)
    return np.asarray(middle)
