"""The referee of operations on profiles: pycytominer, and our matrices as the tables that it takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pycytominer
    from pycytominer import aggregate, consensus, feature_select, normalize
    from pycytominer.operations import Spherize

__all__ = ["Spherize", "aggregate", "by_group", "consensus", "feature_select", "frame", "normalize", "pycytominer"]


def frame(metadata: pl.DataFrame, values: NDArray[np.floating], features: Sequence[str]) -> pd.DataFrame:
    """Return one pandas table of both, as pycytominer takes it."""
    table = pd.DataFrame(values, columns=list(features))
    return pd.concat([pd.DataFrame(metadata.to_dict(as_series=False)), table], axis=1)


def by_group(table: pd.DataFrame, column: str, operation: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """Return what the operation makes of every group apart, rows as they were: pycytominer knows no groups."""
    made = [operation(part.reset_index(drop=True)).set_axis(part.index) for _, part in table.groupby(column)]
    return pd.concat(made).sort_index()
