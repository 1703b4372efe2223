"""`hcs profiles spherize`, and its older name `sphere`."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.output import counted, put
from hcs.cli.profiles.designs import PLATE, WELL, CrossFitOption, PlateOption, WellOption, well_columns, wells_of
from hcs.cli.profiles.files import read_profiles, write_profiles
from hcs.cli.profiles.options import (
    ControlsOption,
    FeaturesOption,
    FitOnOption,
    In,
    MetadataOption,
    Out,
    chosen_rows,
    say_deprecated,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hcs.profiling.matrix import ProfileMatrix


class Form(StrEnum):
    """A form of sphering."""

    ZCA_COR = "ZCA-cor"
    ZCA = "ZCA"
    PCA_COR = "PCA-cor"
    PCA = "PCA"


EpsilonOption = Annotated[float, typer.Option("--epsilon", min=0, help="Added to every singular value.")]


def spherize(
    source: In,
    target: Out,
    method: Annotated[Form, typer.Option("--method")] = Form.ZCA_COR,
    controls: ControlsOption = None,
    epsilon: EpsilonOption = 1e-6,
    cross_fit: CrossFitOption = False,
    plate: PlateOption = PLATE,
    well: WellOption = WELL,
    metadata: MetadataOption = None,
    features: FeaturesOption = None,
) -> None:
    """Give the rows that are fitted on a covariance of 1.

    Example: hcs profiles spherize selected.parquet sphered.parquet --controls "Metadata_pert_type == 'negcon'"
    """
    profiles = read_profiles(source, metadata=metadata, features=features)
    if not cross_fit:
        _write_sphered(profiles, chosen_rows(profiles, controls, None), target, method, epsilon)
        return
    from hcs.profiling.corrections.leak import held_out_ratio

    wells = wells_of(profiles, well_columns(profiles, plate=plate, well=well), controls, cross_fit=True)
    marked = replace(profiles, metadata=wells.metadata)
    made = _write_sphered(marked, wells.design.is_fitted, target, method, epsilon)
    before, after = (held_out_ratio(values, wells.design) for values in (profiles.values, made))
    put(f"held-out controls lie {after:.3g} times as far out as fitted ones, before it {before:.3g} times")


def sphere(
    source: In,
    target: Out,
    fit_on: FitOnOption = None,
    form: Annotated[Form, typer.Option("--form")] = Form.ZCA_COR,
    epsilon: EpsilonOption = 1e-6,
    metadata: MetadataOption = None,
) -> None:
    """Do as spherize, under an older name.

    Example: hcs profiles sphere selected.parquet sphered.parquet --fit-on Metadata_control_type=negcon
    """
    say_deprecated("hcs profiles sphere", "hcs profiles spherize, with --method for --form")
    profiles = read_profiles(source, metadata=metadata, features=None)
    _write_sphered(profiles, chosen_rows(profiles, None, fit_on), target, form, epsilon)


def _write_sphered(
    profiles: ProfileMatrix, chosen: NDArray[np.bool_] | None, target: str, form: Form, epsilon: float
) -> NDArray[np.floating]:
    """Return the sphered profiles once they are written."""
    from hcs.profiling.sphere import fit_sphering
    from hcs.profiling.sphere import sphere as apply

    fitted_rows = profiles.values if chosen is None else profiles.values[chosen]
    fitted = fit_sphering(fitted_rows, form=form.value, epsilon=epsilon)
    names = profiles.features
    if form.value.startswith("PCA"):
        names = tuple(f"PC{place}" for place in range(1, len(names) + 1))
    made = apply(profiles.values, fitted)
    write_profiles(profiles.metadata, made, names, target)
    put(f"fitted on {counted(fitted.n_fitted, 'row')}, which fill {fitted.rank} of {counted(len(names), 'direction')}")
    return made
