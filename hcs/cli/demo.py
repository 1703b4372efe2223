"""`hcs demo`: small screens with known truth through the whole line, and how well they were read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hcs.cli.demo_report import (
    ReadScreen,
    by_mechanism,
    facts_of,
    facts_of_several,
    mean_table,
    score_table,
    seed_table,
)
from hcs.cli.options import (
    Device,
    DeviceOption,
    ExecutorName,
    ExecutorOption,
    Performers,
    ThreadsOption,
    local_place,
    threads_of,
)
from hcs.cli.output import Format, SaidByTenths, print_object, print_table, put, say
from hcs.cli.run import interruptible, perform
from hcs.settings import Settings, read_settings
from schemas.screen import EncoderChoice, ScreenConfig

if TYPE_CHECKING:
    from hcs.simulation.design import ScreenDesign


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the screens, their truth and their catalog.")] = Path(
        "hcs-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another screen.")] = 0,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Screens: of this seed and those after it; N > 1 prints means.")
    ] = 1,
    threads: ThreadsOption = None,
    executor: ExecutorOption = ExecutorName.RAY,
    device: DeviceOption = Device.AUTO,
    form: Annotated[Format, typer.Option("--format", help="json prints one object and nothing else.")] = Format.TABLE,
) -> None:
    """Simulate a screen of 10 plates, run it, and print its hits by mechanism beside the truth.

    The default encoders and the named features make the profile `combined`; each of them by itself, and the same
    backbones without training, stand beside it, read off the same pixels.

    Example: hcs demo --out hcs-demo --seed 1
    """
    from hcs.simulation.design import demo_design

    settings = read_settings()
    performers = Performers(executor, threads_of(threads, settings), device)
    out = local_place(out, what="a demo")
    catalog = str(out / "catalog.sqlite")
    screens = [
        read_screen(out, catalog, seed=number, design=demo_design(), performers=performers, settings=settings)
        for number in range(seed, seed + seeds)
    ]
    if form is Format.JSON:
        single = len(screens) == 1
        print_object(facts_of(screens[0], catalog=catalog) if single else facts_of_several(screens, catalog=catalog))
        return
    _print_tables(screens, form=form)
    advise(screens, catalog)


def read_screen(
    out: Path, catalog: str, *, seed: int, design: ScreenDesign, performers: Performers, settings: Settings
) -> ReadScreen:
    """Simulate a screen, run it with its baselines, and return how well it was read.

    Args:
        out: The screen is written to a folder in it.
        catalog: Where the run is kept.
        seed: Of the screen.
        design: Of the screen.
        performers: Who performs the units; they simulate too.
        settings: Where weights are looked for.
    """
    from hcs.catalog import HitLimits, find_hits, open_catalog
    from hcs.io.screen import load_screen
    from hcs.pipeline.scoring import score_run
    from hcs.profiling.profiles import COMBINED
    from hcs.simulation.deliver import simulate_screen
    from hcs.simulation.truth import read_treatment_truth

    started, folder = time.monotonic(), str(out / f"screen-{seed}")
    workers = threads_of(performers.threads, settings)
    simulated = simulate_screen(
        folder, design=design, seed=seed, progress=SaidByTenths("rendered", "site"), workers=workers
    )
    with open_catalog(catalog) as store, interruptible():
        config = with_baselines(load_screen(simulated.screen_file))
        run = perform(store, config, performers=performers, settings=settings).run
        truth = read_treatment_truth(folder)
        calls = find_hits(store, HitLimits(q_max=1.0, control_types=("treatment",)), run=run.id, profile=COMBINED)
        return ReadScreen(
            seed=seed,
            scores=score_run(store, run, truth),
            mechanisms=by_mechanism(calls, truth),
            origins=tuple(info.weights_origin for info in run.encoders),
            n_sites=simulated.n_sites,
            seconds=time.monotonic() - started,
        )


def with_baselines(config: ScreenConfig) -> ScreenConfig:
    """Return the screen with baselines beside its encoders, which alone make `combined` as before.

    Baselines are the named features and each backbone of the screen without training, as far as they are not among its
    encoders anyway.
    """
    from hcs.embedding.names import NAMED, Training, parse_name

    own = [choice.name for choice in config.encoders]
    backbones = [parse_name(name).architecture for name in own if name != NAMED]
    baselines = dict.fromkeys([NAMED, *(f"{name}.{Training.UNTRAINED}" for name in backbones)])
    beside = tuple(EncoderChoice(name=name) for name in baselines if name not in own)
    combine = config.profile.combine or tuple(sorted(own))
    profile = config.profile.model_copy(update={"combine": combine})
    return config.model_copy(update={"encoders": (*config.encoders, *beside), "profile": profile})


def _print_tables(screens: list[ReadScreen], *, form: Format) -> None:
    if len(screens) > 1:
        print_table(seed_table(screens), form=form, title="against the truth, one screen a row")
        print_table(mean_table(screens), form=form, title=f"means of {len(screens)} screens, 95 % intervals")
        return
    print_table(screens[0].mechanisms, form=form, title="hits by mechanism")
    print_table(score_table(screens[0]), form=form, title="against the truth")


def advise(screens: list[ReadScreen], catalog: str) -> None:
    """Say where everything is and how to ask it; where no encoder is trained, what to expect of that."""
    sites, seconds = sum(screen.n_sites for screen in screens), sum(screen.seconds for screen in screens)
    put(f"{sites} sites in {seconds:.0f} s. Everything is in {catalog}; ask it:")
    put(f'  hcs hits --catalog {catalog} --mechanism "HDAC inhibitor"')
    put(f"  hcs runs --catalog {catalog}")
    put("or look at it:")
    put(f"  hcs dashboard --catalog {catalog}")
    if not any(screen.has_training for screen in screens):
        say("encoders without training read a screen no better than this; see docs/how-to for your own weights")
