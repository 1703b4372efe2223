"""`hcs profiles correct`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hcs.cli.output import put
from hcs.cli.profiles.designs import (
    PLATE,
    WELL,
    BatchOption,
    CountOption,
    CrossFitOption,
    PerturbationOption,
    PlateOption,
    WellOption,
    well_columns,
    wells_of,
)
from hcs.cli.profiles.files import read_finite_profiles, write_profiles
from hcs.cli.profiles.options import ControlsOption, FeaturesOption, In, MetadataOption, Out
from hcs.errors import InputRejectedError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hcs.profiling.corrections.correction import Correction, Design


def correct(
    source: In,
    target: Out,
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="As sphering, harmony, median-polish; others are listed.")
    ],
    batch: BatchOption = None,
    controls: ControlsOption = None,
    perturbation: PerturbationOption = None,
    count: CountOption = None,
    plate: PlateOption = PLATE,
    well: WellOption = WELL,
    cross_fit: CrossFitOption = False,
    seed: Annotated[int | None, typer.Option("--seed", help="For methods that draw, as harmony [0].")] = None,
    metadata: MetadataOption = None,
    features: FeaturesOption = None,
) -> None:
    """Correct normalized profiles for batch, position or number of cells.

    Example: hcs profiles correct in.parquet out.parquet --method harmony --batch Metadata_Batch
    """
    correction = _correction(method, seed)
    profiles = read_finite_profiles(source, metadata=metadata, features=features)
    columns = well_columns(profiles, batch=batch, perturbation=perturbation, count=count, plate=plate, well=well)
    wells = wells_of(profiles, columns, controls, cross_fit=cross_fit)
    made = correction(profiles.values, wells.design)
    names = profiles.features
    if made.values.shape[1] != len(names):
        names = tuple(f"Component{place}" for place in range(1, made.values.shape[1] + 1))
    write_profiles(wells.metadata, made.values, names, target)
    put(f"{method}: fitted on {made.fitted_on}")
    for note in made.notes:
        put(note)
    put(_leak_sentence(correction, profiles.values, made.values if cross_fit else None, wells.half))


def _correction(method: str, seed: int | None) -> Correction:
    from functools import partial
    from inspect import signature

    from hcs.profiling.corrections.registry import CORRECTIONS

    if method not in CORRECTIONS:
        raise UsageError(f"--method is one of {', '.join(CORRECTIONS)}, but {method!r} came")
    correction = CORRECTIONS[method]
    if seed is None:
        return correction
    if "seed" not in signature(correction).parameters:
        raise UsageError(f"{method} has nothing that a seed could change; leave --seed out")
    seeded: Any = partial  # only those with a seed come here
    return cast("Correction", seeded(correction, seed=seed))


def _leak_sentence(
    correction: Correction, values: NDArray[np.floating], made: NDArray[np.floating] | None, half: Design | None
) -> str:
    from hcs.profiling.corrections.leak import held_out_ratio, leak

    if half is None:
        return "no two negative controls of a plate are named: what fitted ones gain over others cannot be told"
    try:
        if made is not None:
            ratio = held_out_ratio(made, half) / held_out_ratio(values, half)
        else:
            ratio = leak(correction, values, half)
    except InputRejectedError as error:
        return f"what fitted controls gain over others cannot be told: {error}"
    return f"fitted on half of the controls, it leaves the others {ratio:.3g} times as far out, relative to before"
