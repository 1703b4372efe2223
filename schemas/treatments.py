"""The name of a treatment: one perturbation at one concentration or dose step, as one string."""

from __future__ import annotations

import polars as pl

SIGNIFICANT_DIGITS = 9
"""A dose is told apart by this many digits, so that 0.1 + 0.2 and 0.3 micromolar are one treatment."""
_PARTS = ("perturbation", "concentration_micromolar", "dose_step")


def treatment_key(
    perturbation: str, *, concentration_micromolar: float | None = None, dose_step: float | None = None
) -> str:
    """Return `perturbation@concentration`, `perturbation#dose_step`, both, or the perturbation alone.

    Tables are joined by this string, never by comparing floats. Two treatments share a key only if they agree in name
    and, to nine digits, in dose: `@`, `#` and `%` inside a name are written `%40`, `%23` and `%25`.
    """
    key = perturbation.replace("%", "%25").replace("@", "%40").replace("#", "%23")
    if concentration_micromolar is not None:
        key += f"@{_dose(concentration_micromolar)}"
    if dose_step is not None:
        key += f"#{_dose(dose_step)}"
    return key


def with_treatment_keys(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with a last column `treatment`, null where `perturbation` is null.

    Args:
        frame: With the columns `perturbation`, `concentration_micromolar` and `dose_step`.
    """
    distinct = frame.select(_PARTS).unique()
    keys = [
        None if name is None else treatment_key(name, concentration_micromolar=dose, dose_step=step)
        for name, dose, step in distinct.iter_rows()
    ]
    named = distinct.with_columns(pl.Series("treatment", keys, dtype=pl.String))
    joined = frame.select(_PARTS).join(named, on=_PARTS, how="left", nulls_equal=True, maintain_order="left")
    return frame.with_columns(joined["treatment"])


def _dose(value: float) -> str:
    return f"{value + 0.0:.{SIGNIFICANT_DIGITS}g}"  # + 0.0 makes -0.0 the same dose as 0.0
