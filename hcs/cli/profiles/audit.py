"""`hcs profiles audit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.options import FormatOption, OutputOption
from hcs.cli.output import Format, counted, print_object, print_table, put, say
from hcs.cli.profiles.files import read_profiles
from hcs.cli.profiles.options import FeaturesOption, MetadataOption, listed
from hcs.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from hcs.profiling.audit.audit import Audit
    from hcs.profiling.audit.wells import AuditColumns
    from hcs.profiling.corrections.correction import Correction
    from hcs.profiling.matrix import ProfileMatrix

USUAL = {
    "batch": ("Metadata_Batch",),
    "perturbation": ("Metadata_Perturbation", "Metadata_broad_sample", "Metadata_JCP2022"),
    "plate": ("Metadata_Plate",),
    "well": ("Metadata_Well", "Metadata_well_position"),
}
"""What columns are called where no option names them, in any case of letters."""
USUAL_CONTROLS = ("Metadata_control_type", "Metadata_pert_type")

_SHOWN = (
    "method",
    "is_picked",
    "retrieval",
    "gain",
    "controls_by_position",
    "controls_by_chance",
    "local_diversity",
    "batch_silhouette",
    "batch_variance",
    "replicate_distance",
    "rand_index",
    "not_same_batch",
    "held_out_controls",
)


def audit(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="IN...", help="Tables of normalized profiles; of several, the features in common count."
        ),
    ],
    batch: Annotated[str | None, typer.Option("--batch", metavar="COLUMN", help="[Metadata_Batch]")] = None,
    perturbation: Annotated[
        str | None, typer.Option("--perturbation", metavar="COLUMN", help="[Metadata_Perturbation or broad_sample]")
    ] = None,
    plate: Annotated[str | None, typer.Option("--plate", metavar="COLUMN", help="[Metadata_Plate]")] = None,
    well: Annotated[
        str | None, typer.Option("--well", metavar="COLUMN", help="[Metadata_Well, if it is there]")
    ] = None,
    controls: Annotated[
        str | None,
        typer.Option("--controls", metavar="EXPR", help="Negative controls [Metadata_control_type == 'negcon']."),
    ] = None,
    mechanism: Annotated[
        str | None, typer.Option("--mechanism", metavar="COLUMN", help="For NSCB: labels, several as a|b.")
    ] = None,
    count: Annotated[
        str | None, typer.Option("--count", metavar="COLUMN", help="Cells of each well, for cell-count.")
    ] = None,
    factor: Annotated[
        list[str] | None,
        typer.Option("--factor", metavar="COLUMN", help="May be confounded too: instrument, cell line; repeatable."),
    ] = None,
    methods: Annotated[
        str | None, typer.Option("--methods", metavar="A,B", help="Corrections to compare [all for batches].")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the halves and the intervals.")] = 0,
    page: Annotated[
        str | None,
        typer.Option("--page", metavar="FILE.html", help="Write a page of pictures that needs nothing else."),
    ] = None,
    metadata: MetadataOption = None,
    features: FeaturesOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Measure what corrections for batches do to batches and to biology, and pick one by a declared rule.

    Example: hcs profiles audit normalized.parquet --batch Metadata_Batch --page audit.html
    """
    from hcs.profiling.audit.audit import audit_profiles
    from hcs.profiling.audit.wells import audit_wells

    chosen = chosen_corrections(methods)
    profiles = _read(sources, metadata, features)
    columns = _columns(
        profiles.metadata,
        {"batch": batch, "perturbation": perturbation, "plate": plate, "well": well},
        mechanism=mechanism,
        count=count,
        factors=factor or (),
    )
    wells = audit_wells(
        profiles.metadata, profiles.values, columns=columns, is_negcon=_negcon(profiles.metadata, controls)
    )
    made = audit_profiles(profiles.values, wells, corrections=chosen, seed=seed)
    if page is not None:
        _write_page(page, made, title=", ".join(sources), batches=wells.batches)
    _print(made, form=form, output=output)


def chosen_corrections(methods: str | None) -> Mapping[str, Correction]:
    """Return the corrections that are named, or all for batches, from simple to intricate."""
    from hcs.profiling.audit.audit import BY_SIMPLICITY
    from hcs.profiling.corrections.registry import CORRECTIONS

    if methods is None:
        return {name: CORRECTIONS[name] for name in BY_SIMPLICITY}
    names = [name.strip() for name in methods.split(",") if name.strip()]
    unknown = [name for name in names if name not in CORRECTIONS]
    if unknown or not names:
        raise UsageError(
            f"--methods names some of {', '.join(CORRECTIONS)}, separated by commas, but "
            f"{', '.join(unknown) or 'none'} came"
        )
    rank = {name: place for place, name in enumerate(BY_SIMPLICITY)}
    return {name: CORRECTIONS[name] for name in sorted(names, key=lambda name: rank.get(name, len(rank)))}


def _read(sources: Sequence[str], metadata: Sequence[str] | None, features: str | None) -> ProfileMatrix:
    from hcs.profiling.join import join_profiles, without_missing

    parts = [read_profiles(source, metadata=metadata, features=features) for source in sources]
    joined = join_profiles(parts)
    if len(parts) > 1:
        every = {name for part in parts for name in part.features}
        say(f"{counted(len(joined.features), 'feature')} in common, of {len(every)} in any of {len(parts)} tables")
    profiles, gone = without_missing(joined)
    if gone:
        say(f"{counted(len(gone), 'feature')} left out, which are missing somewhere: {listed(gone)}")
    return profiles


def _columns(
    metadata: pl.DataFrame,
    named: Mapping[str, str | None],
    *,
    mechanism: str | None,
    count: str | None,
    factors: Sequence[str],
) -> AuditColumns:
    from hcs.profiling.audit.wells import AuditColumns

    found = {what: given or _usual(metadata, USUAL[what]) for what, given in named.items()}
    return AuditColumns(
        batch=found["batch"] or USUAL["batch"][0],
        perturbation=found["perturbation"] or USUAL["perturbation"][0],
        plate=found["plate"] or USUAL["plate"][0],
        well=found["well"],
        mechanism=mechanism,
        cell_count=count,
        factors=tuple(factors),
    )


def _usual(metadata: pl.DataFrame, names: Sequence[str]) -> str | None:
    """Return the first of these columns that is there, in any case of letters."""
    by_case = {column.casefold(): column for column in reversed(metadata.columns)}
    return next((by_case[name.casefold()] for name in names if name.casefold() in by_case), None)


def _negcon(metadata: pl.DataFrame, controls: str | None) -> NDArray[np.bool_]:
    import numpy as np

    from hcs.profiling.selection import select_rows

    if controls is not None:
        return select_rows(metadata, controls)
    column = _usual(metadata, USUAL_CONTROLS)
    if column is None:
        say("no negative controls are named, so corrections that are fitted on them cannot be applied; see --controls")
        return np.zeros(metadata.height, dtype=np.bool_)
    return np.asarray((metadata[column].cast(str) == "negcon").fill_null(value=False).to_numpy())


def _write_page(page: str, made: Audit, *, title: str, batches: Sequence[str]) -> None:
    from hcs.io.storage import write_atomically
    from hcs.profiling.audit.page import audit_page

    write_atomically(page, audit_page(made, title=title, batches=batches).encode())
    say(f"pictures written to {page}")


def _print(made: Audit, *, form: Format, output: str | None) -> None:
    from hcs.profiling.audit.told import as_object, method_table, sentences, verdict

    if output is None and form is Format.JSON:
        print_object(as_object(made))
        return
    is_read = output is None and form is Format.TABLE
    table = method_table(made)
    print_table(_readable(table) if is_read else table, form=form, output=output)
    if is_read or output is not None:
        for sentence in (verdict(made), *sentences(made)):
            put(sentence)


def _readable(table: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that a terminal has room for, intervals in the cell of their figure, none that is empty."""
    import polars as pl

    shown = [name for name in _SHOWN if name == "method" or table[name].null_count() < table.height]
    intervals = [
        pl.when(pl.col(f"{name}_low").is_null())
        .then(pl.col(name).round(3).cast(pl.String))
        .otherwise(pl.format("{} [{}, {}]", *(pl.col(f"{name}{end}").round(3) for end in ("", "_low", "_high"))))
        .alias(name)
        for name in ("retrieval", "gain")
        if name in shown
    ]
    return table.with_columns(intervals).select(shown)
