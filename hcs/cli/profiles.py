"""`hcs profiles`: operations on any table of profiles, from a file to a file."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import counted, put
from hcs.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from hcs.profiling.matrix import ProfileMatrix

In = Annotated[str, typer.Argument(metavar="IN", help="Table of profiles: csv, csv.gz or parquet.")]
Out = Annotated[str, typer.Argument(metavar="OUT", help="File to write; the ending decides as for IN.")]
MetadataOption = Annotated[
    list[str] | None,
    typer.Option("--metadata", metavar="COLUMN", help="Metadata too, beside Metadata_*; may be repeated."),
]
FitOnOption = Annotated[
    list[str] | None,
    typer.Option("--fit-on", metavar="COLUMN=VALUE", help="Rows to fit on, such as controls; may be repeated [all]."),
]


class Method(StrEnum):
    """How values are scaled."""

    MAD_ROBUSTIZE = "mad_robustize"
    ROBUSTIZE = "robustize"
    STANDARDIZE = "standardize"
    INVERSE_NORMAL = "inverse_normal"


class Lacking(StrEnum):
    """What is done with a group without rows to fit on."""

    REFUSE = "refuse"
    ALL = "all"


class Degenerate(StrEnum):
    """What is done with a feature that does not vary where it is fitted."""

    DROP = "drop"
    KEEP = "keep"


class Step(StrEnum):
    """A step of feature selection."""

    VARIANCE = "variance"
    FREQUENCY = "frequency"
    CORRELATION = "correlation"
    DROP_NA = "drop_na"
    DROP_OUTLIERS = "drop_outliers"
    NOISE_REMOVAL = "noise_removal"
    BLOCKLIST = "blocklist"


class Aggregation(StrEnum):
    """How rows of a well become one."""

    MEAN = "mean"
    MEDIAN = "median"
    TRIMMED = "trimmed"


class Consensus(StrEnum):
    """How replicates become one row."""

    MEAN = "mean"
    MEDIAN = "median"
    MODZ = "modz"


class Form(StrEnum):
    """A form of sphering."""

    ZCA_COR = "ZCA-cor"
    ZCA = "ZCA"
    PCA_COR = "PCA-cor"
    PCA = "PCA"


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Normalize, select, combine and sphere any table of profiles.", no_args_is_help=True)
    for command in (normalize, select, aggregate, consensus, sphere):
        group.command()(command)
    app.add_typer(group, name="profiles")


def normalize(
    source: In,
    target: Out,
    method: Annotated[Method, typer.Option("--method", help="As pycytominer names them.")] = Method.MAD_ROBUSTIZE,
    by: Annotated[
        list[str] | None, typer.Option("--by", metavar="COLUMN", help="Group by; may be repeated [Metadata_Plate].")
    ] = None,
    fit_on: FitOnOption = None,
    lacking: Annotated[Lacking, typer.Option("--lacking", help="For a group without rows to fit on.")] = Lacking.REFUSE,
    degenerate: Annotated[
        Degenerate, typer.Option("--degenerate", help="For a feature that hardly varies; keep is pycytominer's way.")
    ] = Degenerate.DROP,
    metadata: MetadataOption = None,
) -> None:
    """Normalize every plate on its own rows.

    Example: hcs profiles normalize wells.csv.gz normalized.parquet --fit-on Metadata_control_type=negcon
    """
    import numpy as np

    from hcs.profiling.groups import group_rows
    from hcs.profiling.scaling import normalize_groups

    profiles = _read(source, metadata)
    groups = group_rows(profiles.metadata, by or ["Metadata_Plate"])
    made = normalize_groups(
        profiles.values,
        groups,
        method=method.value,
        is_fitted=_fitted(profiles, fit_on),
        lacking=lacking.value,
        degenerate=degenerate.value,
    )
    _write(profiles.metadata, made.values, _kept(profiles.features, made.kept), target)
    gone = [name for name, is_kept in zip(profiles.features, made.kept, strict=True) if not is_kept]
    put(f"{counted(len(groups), 'group')}, each fitted on {made.n_fitted.min()} to {made.n_fitted.max()} rows")
    if gone:
        put(f"{counted(len(gone), 'feature')} left out, which hardly vary there: {_listed(gone)}")
    for group in np.flatnonzero(made.borrowed):
        put(f"{groups.name(int(group))}: no row to fit on, fitted on all of its rows")


def select(
    source: In,
    target: Out,
    step: Annotated[list[Step], typer.Option("--step", help="Taken in this order; may be repeated.")],
    fit_on: FitOnOption = None,
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
) -> None:
    """Keep the features that pass every step.

    Example: hcs profiles select normalized.parquet selected.parquet --step variance --step correlation
    """
    from hcs.io.tables import write_table
    from hcs.profiling.select import Cutoffs, select_features

    profiles = _read(source, metadata)
    cutoffs = Cutoffs(variance=variance, correlation=correlation, missing=missing, outlier=outlier, noise=noise)
    made = select_features(
        profiles.values,
        profiles.features,
        steps=[one.value for one in step],
        cutoffs=cutoffs,
        is_fitted=_fitted(profiles, fit_on),
        perturbations=None if perturbation is None else _column(profiles, perturbation).cast(str).to_list(),
    )
    if report is not None:
        write_table(made.report, report)
    if not made.kept.any():
        raise UsageError("no feature passes these steps, so there is nothing to write; --report says why each went")
    _write(profiles.metadata, profiles.values[:, made.kept], _kept(profiles.features, made.kept), target)
    for name, n in made.report.drop_nulls("step").group_by("step", maintain_order=True).len().rows():
        put(f"{name}: {counted(n, 'feature')} left out")
    put(f"{int(made.kept.sum())} of {counted(len(made.kept), 'feature')} kept")


def aggregate(
    source: In,
    target: Out,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="COLUMN", help="May be repeated [Metadata_Plate, Metadata_Well]."),
    ] = None,
    operation: Annotated[Aggregation, typer.Option("--operation")] = Aggregation.MEDIAN,
    cells: Annotated[
        str | None, typer.Option("--cells", metavar="COLUMN", help="How many cells each row was made of.")
    ] = None,
    weighted: Annotated[bool, typer.Option("--weighted", help="A row counts as often as it has cells.")] = False,
    minimum_cells: Annotated[
        int, typer.Option("--minimum-cells", min=0, help="Below it, Metadata_is_fitted is false.")
    ] = 0,
    metadata: MetadataOption = None,
) -> None:
    """Make one row of each well's sites or cells.

    Example: hcs profiles aggregate sites.parquet wells.parquet --operation mean
    """
    from hcs.profiling.aggregate import aggregate_groups
    from hcs.profiling.groups import group_rows

    profiles = _read(source, metadata)
    made = aggregate_groups(
        profiles.values,
        group_rows(profiles.metadata, by or ["Metadata_Plate", "Metadata_Well"]),
        operation=operation.value,
        n_cells=None if cells is None else _column(profiles, cells).cast(float).to_numpy(),
        is_weighted=weighted,
        minimum_cells=minimum_cells,
    )
    ours = [name for name in made.groups.columns if name in {"n_rows", "n_cells", "is_fitted"}]
    _write(made.groups.rename({name: f"Metadata_{name}" for name in ours}), made.values, profiles.features, target)
    put(f"{counted(len(profiles.values), 'row')} became {len(made.values)}")


def consensus(
    source: In,
    target: Out,
    by: Annotated[list[str], typer.Option("--by", metavar="COLUMN", help="What replicates share; may be repeated.")],
    operation: Annotated[Consensus, typer.Option("--operation")] = Consensus.MEDIAN,
    metadata: MetadataOption = None,
) -> None:
    """Make one row of the replicates of a perturbation.

    Example: hcs profiles consensus selected.parquet treatments.parquet --by Metadata_broad_sample --operation modz
    """
    from hcs.profiling.groups import group_rows
    from hcs.statistics.consensus import consensus_of_groups

    profiles = _read(source, metadata)
    groups = group_rows(profiles.metadata, by)
    values = consensus_of_groups(profiles.values, groups.order, groups.starts, operation=operation.value)
    _write(groups.keys, values, profiles.features, target)
    put(f"{counted(len(profiles.values), 'row')} became {len(values)}")


def sphere(
    source: In,
    target: Out,
    fit_on: FitOnOption = None,
    form: Annotated[Form, typer.Option("--form")] = Form.ZCA_COR,
    epsilon: Annotated[float, typer.Option("--epsilon", min=0, help="Added to every singular value.")] = 1e-6,
    metadata: MetadataOption = None,
) -> None:
    """Give the rows that are fitted on a covariance of 1.

    Example: hcs profiles sphere selected.parquet sphered.parquet --fit-on Metadata_control_type=negcon
    """
    from hcs.profiling.sphere import fit_sphering
    from hcs.profiling.sphere import sphere as apply

    profiles = _read(source, metadata)
    chosen = _fitted(profiles, fit_on)
    controls = profiles.values if chosen is None else profiles.values[chosen]
    fitted = fit_sphering(controls, form=form.value, epsilon=epsilon)
    names = profiles.features
    if form.value.startswith("PCA"):
        names = tuple(f"PC{place}" for place in range(1, len(names) + 1))
    _write(profiles.metadata, apply(profiles.values, fitted), names, target)
    put(f"fitted on {counted(fitted.n_fitted, 'row')}, which fill {fitted.rank} of {counted(len(names), 'direction')}")


def _read(source: str, metadata: Sequence[str] | None) -> ProfileMatrix:
    from hcs.io.tables import read_table
    from hcs.profiling.matrix import profile_matrix

    return profile_matrix(read_table(source), metadata=metadata or ())


def _write(metadata: pl.DataFrame, values: NDArray[np.floating], features: Sequence[str], target: str) -> None:
    from hcs.io.tables import write_table
    from hcs.profiling.matrix import ProfileMatrix

    write_table(ProfileMatrix(metadata, values, tuple(features)).table(), target)


def _fitted(profiles: ProfileMatrix, fit_on: Sequence[str] | None) -> NDArray[np.bool_] | None:
    """Return the rows that `COLUMN=VALUE` names, None for all."""
    if not fit_on:
        return None
    split = [condition.partition("=") for condition in fit_on]
    wrong = [condition for condition, (column, equals, _) in zip(fit_on, split, strict=True) if not (column and equals)]
    if wrong:
        raise UsageError(f"--fit-on is COLUMN=VALUE, such as Metadata_control_type=negcon, but {wrong[0]!r} came")
    return profiles.chosen([(column, value) for column, _, value in split])


def _column(profiles: ProfileMatrix, name: str) -> pl.Series:
    if name not in profiles.metadata.columns:
        raise UsageError(
            f"the table has no metadata column {name}; it has {', '.join(profiles.metadata.columns)}; name it with "
            "--metadata if it does not begin with Metadata_"
        )
    return profiles.metadata[name]


def _kept(features: Sequence[str], kept: NDArray[np.bool_]) -> list[str]:
    return [name for name, is_kept in zip(features, kept, strict=True) if is_kept]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
