"""`hcs simulate`: a synthetic screen with known truth."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from hcs.cli.options import ThreadsOption, threads_of
from hcs.cli.output import SaidByTenths, counted, put
from hcs.errors import UsageError
from hcs.settings import read_settings

N_FEATURES = 400


class Level(StrEnum):
    """How much of a screen is made."""

    SMALL = "small"
    PROFILES = "profiles"


class BatchEffect(StrEnum):
    """How strong batches of a table of profiles differ."""

    NONE = "none"
    WEAK = "weak"
    MEDIUM = "medium"
    STRONG = "strong"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    out: Annotated[str, typer.Argument(help="Folder or URI that the delivery is written to.")],
    level: Annotated[
        Level,
        typer.Option(
            help="small: 5 x 256 x 256 images with cells in them; profiles: a table of profiles, without images."
        ),
    ] = Level.SMALL,
    seed: Annotated[int, typer.Option(min=0, help="Everything of the screen follows from it.")] = 0,
    batches: Annotated[int, typer.Option(min=1, help="Batches of plates.")] = 1,
    plates: Annotated[int, typer.Option(min=1, help="Plates of a batch.")] = 2,
    wells: Annotated[int, typer.Option(help="Wells of a plate: 24, 48, 96, 384 or 1536.")] = 96,
    sites: Annotated[int, typer.Option(min=1, help="Sites of a well.")] = 1,
    doses: Annotated[int, typer.Option(min=1, help="Doses of a compound.")] = 1,
    batch_effect: Annotated[
        BatchEffect | None, typer.Option(help="How strong batches differ; with --level profiles.")
    ] = None,
    features: Annotated[int | None, typer.Option(min=2, help="Features of a profile; with --level profiles.")] = None,
    confounded: Annotated[
        bool, typer.Option("--confounded", help="Each compound in one batch alone; with --level profiles.")
    ] = False,
    workers: ThreadsOption = None,
) -> None:
    """Write what an instrument team would deliver, with the truth beside it under truth/.

    Example: hcs simulate screen/ --plates 2 --wells 96 --seed 7
    """
    if level is Level.PROFILES:
        _refuse({"--sites": sites != 1, "--doses": doses != 1, "--threads": workers is not None}, level=Level.SMALL)
        from hcs.simulation.deliver_profiles import deliver_profiles, profile_design

        screen_design = profile_design(
            batches=batches,
            plates=plates,
            wells=wells,
            features=features or N_FEATURES,
            batch_effect=(batch_effect or BatchEffect.NONE).value,
            is_confounded=confounded,
        )
        made = deliver_profiles(out, design=screen_design, seed=seed)
        put(
            f"{counted(made.wells.height, 'well')} of {counted(batches * plates, 'plate')} written to "
            f"{out}/profiles.parquet"
        )
        return
    given = {"--batch-effect": batch_effect is not None, "--features": features is not None}
    _refuse({**given, "--confounded": confounded}, level=Level.PROFILES)
    from hcs.simulation.deliver import simulate_screen
    from hcs.simulation.design import small_design

    design = small_design(batches=batches, plates=plates, wells=wells, sites=sites, doses=doses)
    shown = SaidByTenths("rendered", "site")
    screen = simulate_screen(
        out, design=design, seed=seed, progress=shown, workers=threads_of(workers, read_settings())
    )
    put(f"{counted(design.n_imaged_sites, 'site')} of {counted(batches * plates, 'plate')} written to {out}")
    put(f"next: hcs check {screen.screen_file}; hcs run {screen.screen_file}")


def _refuse(given: dict[str, bool], *, level: Level) -> None:
    """Refuse options of another level.

    Raises:
        UsageError: If one was given.
    """
    wrong = [name for name, is_given in given.items() if is_given]
    if wrong:
        raise UsageError(
            f"{', '.join(wrong)}: expected with --level {level.value} alone; leave it out, or change the level"
        )
