"""`hcs profiles reduce`: for tables that are larger than memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import counted, put
from hcs.cli.profiles.designs import PLATE, PlateOption
from hcs.cli.profiles.options import ControlsOption, FeaturesOption, Out
from hcs.errors import InputRejectedError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from hcs.io.blocks import HalfMatrix
    from hcs.profiling.reduction import RunningMoments

LARGEST = 100.0
"""Normalized values are cut to this: float16 and a covariance bear no 1e9 of a feature with a tiny scale."""


def reduce(
    source: Annotated[str, typer.Argument(metavar="IN", help="Parquet; the rows of a plate stand together.")],
    target: Out,
    components: Annotated[int, typer.Option("--components", min=1, help="Principal components that are kept.")] = 256,
    controls: ControlsOption = None,
    plate: PlateOption = PLATE,
    features: FeaturesOption = None,
    scratch: Annotated[
        Path | None,
        typer.Option("--scratch", metavar="DIR", help="Where float16 profiles lie meanwhile."),
    ] = None,
) -> None:
    """Normalize plates by their robust z and keep principal components, one plate in memory at a time.

    Example: hcs profiles reduce all.parquet reduced.parquet --controls "Metadata_pert_type == 'negcon'"
    """
    import numpy as np

    from hcs.cli.profiles.files import write_profiles
    from hcs.io.blocks import HalfMatrix, columns_of, read_columns
    from hcs.profiling.matrix import METADATA_PREFIX, matching_names
    from hcs.profiling.reduction import RunningMoments, principal_components
    from hcs.profiling.selection import select_rows

    columns = columns_of(source)
    about = [name for name in columns if name.startswith(METADATA_PREFIX)]
    names = matching_names([name for name in columns if name not in set(about)], features or "")
    if plate not in about or not names:
        raise UsageError(f"a column {plate} and features are needed, but the columns are {', '.join(columns[:5])}, ...")
    metadata = read_columns(source, about)
    chosen = np.ones(metadata.height, dtype=np.bool_) if controls is None else select_rows(metadata, controls)
    lengths = _stretches(metadata[plate])
    moments = RunningMoments(len(names))
    with TemporaryDirectory(dir=scratch) as folder:
        store = HalfMatrix(Path(folder) / "profiles.npy", (metadata.height, len(names)))
        is_used = _normalize_into(store, moments, source, names, lengths, chosen)
        found = principal_components(moments, n_components=components, is_used=is_used)
        scores = np.concatenate([found.scores(block) for block in store.blocks(2048)])
    write_profiles(metadata, scores, [f"Component{place}" for place in range(1, components + 1)], target)
    put(f"{counted(len(lengths), 'plate')}, {metadata.height:,} rows, each plate normalized on {_said(controls)}")
    put(f"{counted(int((~is_used).sum()), 'feature')} of {len(names)} not used, which hardly vary on a plate")
    put(f"{counted(components, 'component')}, fitted on all rows, hold {found.explained:.1%} of the variance")


def _normalize_into(
    store: HalfMatrix,
    moments: RunningMoments,
    source: str,
    names: Sequence[str],
    lengths: Sequence[int],
    chosen: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Normalize plate after plate into the store, and return which features can be used on all of them."""
    import numpy as np
    import polars as pl

    from hcs.io.blocks import read_stretches
    from hcs.profiling.groups import group_rows
    from hcs.profiling.scaling import normalize_groups

    is_used = np.ones(len(names), dtype=np.bool_)
    start = 0
    for values in read_stretches(source, names, lengths):
        groups = group_rows(pl.DataFrame({"plate": np.zeros(len(values))}), [])
        fitted = chosen[start : start + len(values)]
        made = normalize_groups(values, groups, method="mad_robustize", is_fitted=fitted, degenerate="zero")
        is_used &= made.kept & ~np.isnan(made.values).any(axis=0)
        block = np.clip(np.nan_to_num(made.values, copy=False, nan=0.0), -LARGEST, LARGEST)
        store.append(block)
        moments.add(block)
        start += len(values)
    return is_used


def _stretches(plates: pl.Series) -> list[int]:
    """Return how many rows each plate has, in their order; each plate's must stand together."""
    runs = plates.rle().struct.unnest()
    repeated = runs.filter(runs["value"].is_duplicated())
    if repeated.height:
        raise InputRejectedError(
            f"the rows of a plate must stand together, but those of {repeated['value'][0]} do not ({repeated.height} "
            f"stretches like it); sort the table by {plates.name} first"
        )
    return runs["len"].to_list()


def _said(controls: str | None) -> str:
    return "all of its rows" if controls is None else f"its rows with {controls}"
