"""`hcs profiles select`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import counted, put
from hcs.cli.profiles.files import kept_names, read_profiles, write_profiles
from hcs.cli.profiles.options import (
    ControlsOption,
    FeaturesOption,
    FitOnOption,
    In,
    MetadataOption,
    Out,
    chosen_rows,
    metadata_column,
    say_deprecated,
)
from hcs.errors import UsageError

if TYPE_CHECKING:
    from hcs.profiling.select import Step

OPERATIONS: dict[str, Step] = {
    "variance_threshold": "variance",
    "frequency_threshold": "frequency",
    "correlation_threshold": "correlation",
    "drop_na_columns": "drop_na",
    "drop_outliers": "drop_outliers",
    "noise_removal": "noise_removal",
    "blocklist": "blocklist",
}
"""What pycytominer calls the steps of a selection."""


class OlderStep(StrEnum):
    """A step by its older name."""

    VARIANCE = "variance"
    FREQUENCY = "frequency"
    CORRELATION = "correlation"
    DROP_NA = "drop_na"
    DROP_OUTLIERS = "drop_outliers"
    NOISE_REMOVAL = "noise_removal"
    BLOCKLIST = "blocklist"


def select(
    source: In,
    target: Out,
    operation: Annotated[
        str, typer.Option("--operation", metavar="A,B,...", help=f"Taken in this order: {', '.join(OPERATIONS)}.")
    ] = "",
    controls: ControlsOption = None,
    report: Annotated[
        str | None, typer.Option("--report", metavar="FILE", help="Write why each feature went: csv, parquet, json.")
    ] = None,
    variance: Annotated[float, typer.Option("--variance", min=0, help="A feature stays above it.")] = 1e-6,
    correlation: Annotated[
        float, typer.Option("--correlation", min=0, max=1, help="Of two features above it, one goes.")
    ] = 0.9,
    missing: Annotated[float, typer.Option("--missing", min=0, max=1, help="Largest share missing.")] = 0.05,
    outlier: Annotated[float, typer.Option("--outlier", min=0, help="Largest size of a value.")] = 500.0,
    noise: Annotated[float, typer.Option("--noise", min=0, help="Largest deviation of replicates.")] = 0.8,
    perturbation: Annotated[
        str | None, typer.Option("--perturbation", metavar="COLUMN", help="Replicates, for noise_removal.")
    ] = None,
    metadata: MetadataOption = None,
    features: FeaturesOption = None,
    step: Annotated[
        list[OlderStep] | None, typer.Option("--step", help="Deprecated: use --operation.", hidden=True)
    ] = None,
    fit_on: FitOnOption = None,
) -> None:
    """Keep the features that pass every operation.

    Example: hcs profiles select in.parquet out.parquet --operation variance_threshold,correlation_threshold
    """
    import polars as pl

    from hcs.io.tables import write_table
    from hcs.profiling.select import Cutoffs, select_features

    operations = _operations(operation, step or [])
    profiles = read_profiles(source, metadata=metadata, features=features)
    cutoffs = Cutoffs(variance=variance, correlation=correlation, missing=missing, outlier=outlier, noise=noise)
    made = select_features(
        profiles.values,
        profiles.features,
        steps=[OPERATIONS[name] for name in operations],
        cutoffs=cutoffs,
        is_fitted=chosen_rows(profiles, controls, fit_on),
        perturbations=None if perturbation is None else metadata_column(profiles, perturbation).cast(str).to_list(),
    )
    names = {step: name for name, step in OPERATIONS.items()}
    why = made.report.with_columns(pl.col("step").replace(names)).rename({"step": "operation"})
    if report is not None:
        write_table(why, report)
    if not made.kept.any():
        raise UsageError(
            "no feature passes these operations, so there is nothing to write; --report says why each went"
        )
    kept = kept_names(profiles.features, made.kept)
    write_profiles(profiles.metadata, profiles.values[:, made.kept], kept, target)
    for name, n in why.drop_nulls("operation").group_by("operation", maintain_order=True).len().rows():
        put(f"{name}: {counted(n, 'feature')} left out")
    put(f"{len(kept)} of {counted(len(made.kept), 'feature')} kept")


def _operations(given: str, older: list[OlderStep]) -> list[str]:
    """Return the operations by their names, in the order in which they are taken."""
    if given and older:
        raise UsageError("--operation and --step say the same in two ways, but both came; leave --step out")
    if older:
        names = [name for step in older for name, known in OPERATIONS.items() if known == step.value]
        say_deprecated("--step", f"--operation {','.join(names)}")
        return names
    names = [name.strip() for name in given.split(",") if name.strip()]
    unknown = [name for name in names if name not in OPERATIONS]
    if unknown or not names:
        came = repr(unknown[0]) if unknown else "none"
        raise UsageError(
            f"--operation takes one or more of {','.join(OPERATIONS)} with commas between, but {came} came"
        )
    return names
