"""`hcs profiles spherize`, and its older name `sphere`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from hcs.cli.output import counted, put
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
    metadata: MetadataOption = None,
    features: FeaturesOption = None,
) -> None:
    """Give the rows that are fitted on a covariance of 1.

    Example: hcs profiles spherize selected.parquet sphered.parquet --controls "Metadata_pert_type == 'negcon'"
    """
    _spherize(source, target, method, epsilon, controls=controls, metadata=metadata, features=features)


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
    _spherize(source, target, form, epsilon, fit_on=fit_on, metadata=metadata)


def _spherize(
    source: str,
    target: str,
    form: Form,
    epsilon: float,
    *,
    metadata: Sequence[str] | None,
    controls: str | None = None,
    features: str | None = None,
    fit_on: Sequence[str] | None = None,
) -> None:
    from hcs.profiling.sphere import fit_sphering
    from hcs.profiling.sphere import sphere as apply

    profiles = read_profiles(source, metadata=metadata, features=features)
    chosen = chosen_rows(profiles, controls, fit_on)
    fitted_rows = profiles.values if chosen is None else profiles.values[chosen]
    fitted = fit_sphering(fitted_rows, form=form.value, epsilon=epsilon)
    names = profiles.features
    if form.value.startswith("PCA"):
        names = tuple(f"PC{place}" for place in range(1, len(names) + 1))
    write_profiles(profiles.metadata, apply(profiles.values, fitted), names, target)
    put(f"fitted on {counted(fitted.n_fitted, 'row')}, which fill {fitted.rank} of {counted(len(names), 'direction')}")
